"""Damage to any column of the index, or of an event's own, is named; an index that is whole is not."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Told

from nbprod.ledger import open_ledger, stretch
from nbprod.ledger.audit import audit
from nbprod.ledger.events import AliasMoved, RunHeard, RunTagged, StepPublished
from nbprod.ledger.tables import metadata
from nbprod.record.uses import Use
from tests.postgres import PostgresServer
from tests.telling import DIGEST, START

OTHER = "sha256:" + "0" * 64
MOMENT = "'2020-01-01T00:00:00.000000Z'"
DONE = "WHERE name = 'done'"
OPEN = "WHERE status IS NULL"
OF_DONE = "WHERE run_id = (SELECT run_id FROM runs WHERE name = 'done')"

Damage = Callable[[str], None]


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Told, Damage]]:
    """A ledger of a few runs and versions, and a way around its triggers."""
    if request.param == "sqlite":
        told = Told(open_ledger(str(tmp_path / "ledger.db")), lambda seconds: None)

        def damage(statement: str) -> None:
            with sqlite3.connect(tmp_path / "ledger.db") as raw:
                for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                    raw.execute(f"DROP TRIGGER {name}")
                assert raw.execute(statement).rowcount == 1
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url: str = request.getfixturevalue("url")
        told = Told(open_ledger(url), lambda seconds: None)

        def damage(statement: str) -> None:
            with psycopg.connect(server.conninfo(url.rpartition("/")[2])) as raw:
                raw.execute("SET session_replication_role = replica")
                assert raw.execute(statement.encode()).rowcount == 1

    done = told.finish(
        told.start(name="done", tags=("a",), note="Größe", parameters={"x": 1, "y": "text\0"}, occasion="o"),
        scraps={"auc": 0.5, "list": [1, 2]},
        notebook=DIGEST,
        uses=(Use(role="read", digest=DIGEST, name="x"),),
    )
    told.ledger.append(RunTagged(at=START, run_id=done, tag="b"))
    told.ledger.append(RunHeard(at=START, run_id=done, what="news"))
    told.finish(told.start(retry_of=done, flow_run="f", shared=True), of=done)
    told.ledger.request_cancel(told.start())
    for number in (1, 2):
        told.ledger.append(StepPublished(at=START, step="train", number=number, manifest=DIGEST, by="ada"))
    told.ledger.append(AliasMoved(at=START, step="train", alias="production", number=1, before=None, by="ada"))
    yield told, damage
    told.ledger.close()


COLUMNS = {
    "run_id": None,  # the key: see the rows that are in the index or in the events only
    "reversed_id": "'x'",
    "step": "'other'",
    "notebook": "'other'",
    "status": "'failed'",
    "reason": "'other'",
    "started": MOMENT,
    "finished": MOMENT,
    "seconds": "0.25",
    "name": "'other'",
    "note": "'other'",
    "parameters": "'{}'",
    "scraps": "'{}'",
    "request_digest": f"'{OTHER}'",
    "record": f"'{OTHER}'",
    "notebook_digest": "NULL",
    "user_name": "'other'",
    "host": "'other'",
    "runner_pid": "1",
    "lease_until": None,  # a CHECK of the schema's holds it to the status
    "cancel_requested": MOMENT,
    "folder": "'other'",
    "search": "'other'",
    "occasion": "'other'",
    "retry_of": "run_id",
    "flow_run": "'other'",
    "shared": "1",
    "of_run": "run_id",
    "fence": None,  # a token of whoever closes the run, which no event tells before its end
}


def test_every_column_of_runs_is_damaged_here() -> None:
    assert set(COLUMNS) == {column.name for column in metadata.tables["runs"].columns}


def test_every_column_of_a_run_is_compared(kept: tuple[Told, Damage]) -> None:
    told, damage = kept
    assert audit(told.ledger).faults == []
    seen: list[str] = []
    for column, value in COLUMNS.items():
        if value is None:
            continue
        damage(f"UPDATE runs SET {column} = {value} WHERE run_id = (SELECT min(run_id) FROM runs)")
        seen.append(column)
        # Without its triggers, SQLite's index of texts doesn't follow.
        (fault,) = (each for each in audit(told.ledger).faults if "run_search" not in each)
        assert set(fault.rpartition("in: ")[2].split(", ")) == set(seen)


OTHERS = [
    (f"UPDATE runs SET cancel_requested = NULL {OPEN}", "in: cancel_requested"),
    (f"UPDATE run_tags SET tag = 'c' {OF_DONE} AND tag = 'b'", "in: run_tags (b), run_tags (c)"),
    (f"DELETE FROM run_tags {OF_DONE} AND tag = 'a'", "in: run_tags (a)"),
    (f"UPDATE run_values SET num = 2 {OF_DONE} AND name = 'x'", "in: run_values (parameter x: num)"),
    (f"UPDATE run_values SET text = 'z' {OF_DONE} AND name = 'y'", "in: run_values (parameter y: text)"),
    (f"UPDATE run_values SET num = NULL, text = '0.5' {OF_DONE} AND name = 'auc'", "(scrap auc: num, text)"),
    (f"DELETE FROM run_values {OF_DONE} AND name = 'list'", "in: run_values (scrap list)"),
    (f"UPDATE run_values SET kind = 'scrap' {OF_DONE} AND name = 'x'", "(parameter x), run_values (scrap x)"),
    (f"UPDATE run_uses SET name = 'z' {OF_DONE}", "in: run_uses"),
    (f"DELETE FROM runs {OPEN}", "is in the events only"),
    ("DELETE FROM step_versions WHERE version = 2", "train@2 is in the events only"),
    (
        f"UPDATE step_versions SET manifest = '{OTHER}' WHERE version = 2",
        "train@2 differs from its events in: manifest",
    ),
    (f"UPDATE step_versions SET published = {MOMENT} WHERE version = 2", "in: published"),
    ("UPDATE step_versions SET published_by = 'bob' WHERE version = 2", "in: published_by"),
    ("UPDATE step_versions SET note = 'x' WHERE version = 2", "in: note"),
    ("UPDATE step_aliases SET version = 2", "train@production differs from its events in: version"),
    ("INSERT INTO step_aliases VALUES ('train', 'more', 1)", "train@more is in the index only"),
    ("DELETE FROM step_aliases", "train@production is in the events only"),
    (f"UPDATE events SET at = {MOMENT} WHERE kind = 'RunHeard'", "differs from its columns in: at"),
    ("UPDATE events SET kind = 'RunNoted' WHERE kind = 'RunHeard'", "differs from its columns in: kind"),
    ("UPDATE events SET step = 'other' WHERE kind = 'AliasMoved'", "differs from its columns in: step"),
    ("UPDATE events SET body = '{}' WHERE kind = 'RunHeard'", "cannot be read"),
    ("UPDATE events SET body = 'no JSON' WHERE kind = 'AliasMoved'", "cannot be read"),
]


@pytest.mark.parametrize("number", range(len(OTHERS)), ids=[says for _, says in OTHERS])
def test_damage_elsewhere_is_named(kept: tuple[Told, Damage], number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told, damage = kept
    monkeypatch.setattr(stretch, "_RUNS", 2)  # several stretches
    assert audit(told.ledger).faults == []
    ids = [row.run_id for row in rows(told)]
    assert not any(each.differs for each in told.ledger.dossiers(ids))
    assert told.ledger.strays() == []
    statement, says = OTHERS[number]
    damage(statement)
    faults = audit(told.ledger).faults
    assert any(says in fault for fault in faults)
    assert {fault for fault in faults if fault.startswith("train@")} <= {*told.ledger.strays()}
    # What is asked of some runs alone says the same of them.
    differs = [fault for each in told.ledger.dossiers(ids) for fault in each.differs]
    assert [says in fault for fault in differs] == [True for fault in faults if fault.startswith("run ")]


def test_stretches_count_each_run_and_event_once(kept: tuple[Told, Damage], monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = kept
    for size in (1, 2, 3, 4):
        monkeypatch.setattr(stretch, "_RUNS", size)
        named: list[str] = []
        found = audit(told.ledger, lambda _, by: named.append(by))  # noqa: B023
        assert (found.runs, found.events, found.faults) == (3, 11, [])
        assert sorted(set(named)) == sorted(
            {"train@1", "train@2", *(f"run {row.run_id}" for row in rows(told))} - running(told)
        )


def rows(told: Told) -> list[Any]:
    from nbprod.ledger import RunQuery

    return list(told.ledger.runs(RunQuery()))


def running(told: Told) -> set[str]:
    return {f"run {row.run_id}" for row in rows(told) if row.status is None}


def test_memory_is_flat(tmp_path: Path) -> None:
    """Ten times the runs take no more memory."""

    def peak(count: int) -> int:
        told = Told(open_ledger(str(tmp_path / f"{count}.db")), lambda seconds: None)
        for _ in range(count):
            told.finish(told.start(parameters={"x": "y" * 1000}))
        tracemalloc.start()
        try:
            assert audit(told.ledger).runs == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            told.ledger.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretch, "_RUNS", 20)
        peak(5)  # what is imported and cached once
        few, many = peak(40), peak(400)
    assert many < 2 * few
