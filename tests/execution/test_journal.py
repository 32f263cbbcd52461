"""The journal: what was heard live is what is read back, wherever a kill cut it off."""

from __future__ import annotations

import json
import math
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import EnvironmentFault
from nbprod.execution.journal import Journal, parse_line, read_journal
from nbprod.execution.outputs import Collector, OutputLimits
from nbprod.execution.plan import Plan, PlannedCell
from nbprod.execution.replay import replay
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellError, CellOutcome

from .messages import positioned

AT = datetime(2026, 5, 6, tzinfo=UTC)
PLAN = Plan(node={"cells": []}, cells=tuple(PlannedCell(position=n, cell=n, source="1") for n in range(3)))


def outcome(cell: int) -> CellOutcome:
    return CellOutcome(cell=cell, status=CellStatus.OK, execution_count=1, started=AT, seconds=0.5, output_bytes=7)


def write(path: Path, messages: list[tuple[int, Any]]) -> Collector:
    """Do as the driver does: three cells, each with its messages; return the live collector."""
    live = Collector(OutputLimits())
    with Journal(path) as journal:
        journal.event("kernel_ready", AT, language_info={"name": "python"})
        for cell in range(3):
            journal.event("cell_started", AT, p=cell, cell=cell)
            for position, (kind, content) in messages:
                if position != cell:
                    continue
                journal.message(position, AT, kind, json.dumps(content, ensure_ascii=False).encode())
                live.add(position, kind, content)
            journal.event("cell_finished", AT, p=cell, outcome=outcome(cell).to_json())
        journal.sync(force=True)
    return live


@settings(deadline=None)
@given(positioned)
def test_the_replay_equals_what_was_live(messages: list[tuple[int, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        live = write(path, messages)
        again = Collector(OutputLimits())
        outcomes, language_info = replay(read_journal(path), PLAN, again)
    assert [again.outputs(n) for n in range(3)] == [live.outputs(n) for n in range(3)]
    assert again.widget_metadata() == live.widget_metadata()
    assert outcomes == tuple(outcome(n) for n in range(3))
    assert language_info == {"name": "python"}


@settings(deadline=None)
@given(positioned, st.data())
def test_a_journal_cut_anywhere_replays_to_a_prefix(messages: list[tuple[int, Any]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        write(path, messages)
        whole = list(read_journal(path))
        cut = data.draw(st.integers(0, path.stat().st_size), label="cut at byte")
        os.truncate(path, cut)
        left = list(read_journal(path))
        outcomes, _ = replay(left, PLAN, Collector(OutputLimits()))
    assert left == whole[: len(left)]
    order = [CellStatus.OK, CellStatus.INTERRUPTED, CellStatus.NOT_RUN]
    ranks = [order.index(each.status) for each in outcomes]
    assert ranks == sorted(ranks)
    assert ranks.count(1) <= 1


def test_a_cell_under_way_is_interrupted_and_lasted_until_its_last_word(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.event("cell_started", AT, p=0, cell=0)
        journal.message(0, AT + timedelta(seconds=3), "stream", b'{"name": "stdout", "text": "so far"}')
    collector = Collector(OutputLimits())
    outcomes, _ = replay(read_journal(tmp_path / "j"), PLAN, collector)
    assert [each.status for each in outcomes] == ["interrupted", "not_run", "not_run"]
    assert outcomes[0].seconds == 3.0
    assert collector.outputs(0)[0]["text"] == "so far"


def test_skipped_cells_are_told_from_those_not_reached(tmp_path: Path) -> None:
    skipping = Plan(
        node={"cells": []},
        cells=(
            PlannedCell(position=0, cell=0, source="", skip=True),
            PlannedCell(position=1, cell=1, source="1"),
            PlannedCell(position=2, cell=2, source="", skip=True),
        ),
    )
    with Journal(tmp_path / "j") as journal:
        journal.event("cell_started", AT, p=1, cell=1)
        journal.event("cell_finished", AT, p=1, outcome=outcome(1).to_json())
    outcomes, _ = replay(read_journal(tmp_path / "j"), skipping, Collector(OutputLimits()))
    assert [each.status for each in outcomes] == ["skipped", "ok", "not_run"]


def test_what_json_does_not_hold_survives(tmp_path: Path) -> None:
    failed = CellOutcome(cell=0, status=CellStatus.FAILED, error=CellError(name="E", message="line\nbreak \u2028 é"))
    with Journal(tmp_path / "j") as journal:
        journal.message(0, AT, "display_data", b'{"data": {"application/json": NaN}}')
        journal.message(0, AT, "stream", b'{"name": "stdout",\n "text": "pretty\\nprinted"}')
        journal.event("cell_finished", AT, p=0, outcome=failed.to_json())
    nan, printed, finished = read_journal(tmp_path / "j")
    assert math.isnan(nan["content"]["data"]["application/json"])
    assert printed["content"]["text"] == "pretty\nprinted"
    assert CellOutcome.from_json(finished["outcome"]) == failed


def test_writing_is_seen_at_once_without_a_flush(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.event("note", AT, text="here")
        assert [event["text"] for event in read_journal(tmp_path / "j")] == ["here"]


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / "none")) == []
    assert parse_line(b'{"e": "cell_sta') is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_the_environments_fault() -> None:
    with Journal(Path("/dev/full")) as journal, pytest.raises(EnvironmentFault, match="No space left"):
        journal.event("note", AT, text="x")


def test_a_cut_that_was_under_way_is_told_by_the_replay() -> None:
    from nbprod.execution.outputs import Collector, OutputLimits
    from nbprod.execution.plan import Plan
    from nbprod.execution.replay import replay

    node = {"cells": [{"cell_type": "code", "source": "loop()", "metadata": {"nbprod": {"cell": 0}}}]}
    live = Collector(OutputLimits(cell=10, run=100))
    live.admit(0, "stream", {"name": "stdout", "text": "0123456789 and the last of it\n"}, 1)
    begun = {"e": "cell_started", "at": "2026-01-01T00:00:00+00:00", "p": 0, "cell": 0}
    cut = {"e": "dropped", "at": "2026-01-01T00:00:07+00:00", "p": 0, "drops": live.drops(0)}

    def replayed(*events: dict[str, object]) -> tuple[str, bool, float | None]:
        collector = Collector(OutputLimits())
        (outcome,), _ = replay(events, Plan.of(node, {}), collector)
        return "".join(o["text"] for o in collector.outputs(0)), outcome.truncated, outcome.seconds

    text, truncated, seconds = replayed(begun, cut)
    assert "Output cut here: 20 of this cell's 30 bytes" in text
    assert text.endswith("and the last of it\n")
    assert (truncated, seconds) == (True, 7.0)
    assert replayed(begun) == ("", False, 0.0)  # the control: without the event nobody would know
