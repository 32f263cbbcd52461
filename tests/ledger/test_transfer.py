"""A ledger carried from SQLite to PostgreSQL and back, and checked."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import Told

from nbprod.errors import IntegrityError
from nbprod.ledger import Ledger, RunQuery, open_ledger
from nbprod.ledger.audit import audit
from nbprod.ledger.events import AliasMoved, RunNamed, RunTagged, StepPublished
from nbprod.ledger.transfer import exported, import_lines
from tests.telling import DIGEST, START


@pytest.fixture
def source(tmp_path: Path) -> Told:
    told = Told(open_ledger(str(tmp_path / "source.db")), lambda seconds: None)
    done = told.finish(told.start(tags=("a", "b"), parameters={"x": 1, "y": "text\0"}), scraps={"auc": 0.5})
    told.ledger.append(RunTagged(at=START, run_id=done, tag="c"))
    told.start(shared=True, name="nul \0 inside")
    told.ledger.request_cancel(told.start(note="Größe"))
    told.ledger.append(RunNamed(at=START + timedelta(days=1), run_id=done, name="late"))
    told.ledger.append(StepPublished(at=START, step="train", number=1, manifest=DIGEST, by="ada"))
    told.ledger.append(AliasMoved(at=START, step="train", alias="production", number=1, before=None, by="ada"))
    return told


def index(ledger: Ledger) -> list[object]:
    rows = [replace(row, lease_until=None) for row in ledger.runs(RunQuery())]
    return [
        *(replace(row, name=row.name and row.name.replace("\0", "\ufffd")) for row in rows),
        *ledger.published(),
        *(ledger.cancel_requested(row.run_id) for row in rows),
    ]


def test_from_sqlite_to_postgresql_and_back_nothing_is_lost(source: Told, url: str, tmp_path: Path) -> None:
    lines = list(exported(source.ledger))
    there, back = open_ledger(url), open_ledger(str(tmp_path / "back.db"))
    assert import_lines(there, lines) == (len(lines), len(lines))
    assert import_lines(back, exported(there)) == (len(lines), len(lines))
    for ledger in (there, back):
        assert list(exported(ledger)) == lines
        assert index(ledger) == index(source.ledger)
        assert audit(ledger).faults == []
        assert all(row.lease_until for row in ledger.runs(RunQuery(running=True)))
        assert import_lines(ledger, lines) == (len(lines), 0)  # again: nothing happens
        told = Told(ledger, lambda seconds: None)
        told.finish(told.start())  # numbers go on after those taken over
        assert [each.seq for each in ledger.events()] == list(range(1, len(lines) + 3))
        ledger.close()


def test_another_ledgers_events_are_refused(source: Told, url: str) -> None:
    ledger = open_ledger(url)
    Told(ledger, lambda seconds: None).start()
    before = list(exported(ledger))
    with pytest.raises(IntegrityError, match="a difference at number 1"):
        import_lines(ledger, exported(source.ledger))
    assert list(exported(ledger)) == before
    for line, says in ((b"{}", "no exported event"), (b"\xff", "no exported event")):
        with pytest.raises(IntegrityError, match=says):
            import_lines(ledger, [line])
    ledger.close()


def test_an_index_that_was_tampered_with_is_found(source: Told, tmp_path: Path) -> None:
    assert audit(source.ledger).faults == []
    with sqlite3.connect(tmp_path / "source.db") as raw:
        raw.execute("UPDATE runs SET step = 'other' WHERE name = 'late'")
    (fault,) = audit(source.ledger).faults
    assert fault.endswith("differs from its events in: step")
