"""The record cell: whatever the values are, it stays text in well-formed tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.digest import digest_bytes
from nbprod.record.ids import RunId
from nbprod.record.request import Input, RunRequest
from nbprod.record.run_record import Artifact, Kept
from nbprod.record.status import CellStatus, Status
from nbprod.record.trace import Trace
from nbprod.record.verdict import CellOutcome, Verdict
from nbprod.runner.record_cell import record_cell, shown
from nbprod.runner.started import Started
from nbprod.scraps import Scrap
from nbprod.step.contract import Requirement

TRACE = Trace(on=False, why_off="so it is set")
AT = datetime(2026, 7, 8, 12, 0, 0, tzinfo=UTC)
DIGEST = digest_bytes(b"")


def cell_of(text: str, *, zone: str = "UTC", status: Status = Status.FAILED, value: Any = None) -> str:
    """Return a record cell with the text wherever a name or a value from outside may stand."""
    request = RunRequest(
        step=text,
        notebook=text,
        source=DIGEST,
        kernel="python3",
        parameters={"p": text if value is None else value, text: 1},
        given=("p",),
        inputs=(Input(kind="file", name="p", path=text, digest=DIGEST, size=1234567, note=text),),
        environment=DIGEST,
        limits={},
        contract={},
    )
    started = Started(
        run_id=RunId.new(AT, bytes(10)),
        request=request,
        source_file=Kept(digest=DIGEST, size=1),
        environment_facts=None,
        git={"commit": "0123456789abcdef", "dirty": True},
        user=text,
        host="host",
        at=AT,
        zone=zone,
        defaults={},
        given={},
        paths=(None, None),
        report_mode=False,
        notes=(text,),
    )
    verdict = Verdict(
        status=status,
        reason=text,
        cells=(CellOutcome(cell=0, status=CellStatus.OK), CellOutcome(cell=1, status=CellStatus.NOT_RUN)),
        contract=(Requirement(text=text, met=False, found=text),),
    )
    scraps = [Scrap(name=text, encoder="json", cell=3, data=text)]
    artifacts = [Artifact(name=text, digest=DIGEST, size=999)]
    return record_cell(started, verdict, scraps, artifacts, 90.5, trace=TRACE)


def tables(markdown: str) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in markdown.split("\n"):
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


HOSTILE = "a|b\n\n| c | <script>alert(1)</script> $x$ [l](javascript:1) **&lt; `code`"


@pytest.mark.parametrize("text", [HOSTILE, "\r\n|---|", "</td>", "x" * 500, "|" * 50, "\u2028|\u0085|"])
def test_hostile_values_break_no_table_and_bring_no_markup(text: str) -> None:
    check(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_value_breaks_no_table(text: str) -> None:
    check(text)


def check(text: str) -> None:
    markdown = cell_of(text)
    found = tables(markdown)
    assert len(found) == 6, "summary, parameters, inputs, scraps, artifacts, contract"
    for table in found:
        columns = table[0].count("|")
        assert all(line.count("|") == columns for line in table), table
        assert re.fullmatch(r"\|( --- \|)+", table[1])
    told = markdown.replace("<sub>", "").replace("</sub>", "")
    assert "<" not in told
    assert "$" not in told
    assert "[" not in told


def test_it_tells_who_when_and_what() -> None:
    markdown = cell_of("train", zone="America/New_York")
    assert "❌ train: failed" in markdown
    assert "2026-07-08 12:00:00 UTC (2026-07-08 08:00:00 America/New_York), 90.5 s" in markdown
    assert "1 of 2 code cells ran, 1 did not" in markdown
    assert "0123456789ab, with uncommitted changes" in markdown
    assert "1.2 MB" in markdown
    assert "999 B" in markdown
    assert "**not met**" in markdown
    assert str(RunId.new(AT, bytes(10))) in markdown


@pytest.mark.parametrize(
    ("zone", "local"),
    [("UTC", None), ("UTC+0530", "17:30:00 UTC+0530"), ("UTC-0300", "09:00:00 UTC-0300"), ("Nowhere/Land", None)],
)
def test_local_time(zone: str, local: str | None) -> None:
    markdown = cell_of("x", zone=zone)
    assert "12:00:00 UTC" in markdown
    assert (local in markdown) if local else "UTC (" not in markdown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (None, "None"),
        ([1, "a", [2.5]], "[1, a, [2.5]]"),
        ({"a": {"$nbprod": "int", "value": "9007199254740993"}}, "{a: 9007199254740993}"),
        ({"$nbprod": "date", "value": "2013-01-01"}, "2013-01-01"),
        (
            {"$nbprod": "artifact", "value": {"run": "0" * 8 + "12345678", "name": "m.skops", "digest": ""}},
            "m.skops of run …12345678",
        ),
    ],
)
def test_values_for_people(value: Any, text: str) -> None:
    assert shown(value) == text
