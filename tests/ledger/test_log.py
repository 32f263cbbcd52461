"""The log over the events: places for ever, whatever keeps them, and roots as the RFC has them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from nbprod.digest import canonical
from nbprod.errors import InternalError
from nbprod.ledger import Ledger, open_ledger
from nbprod.ledger.events import to_json
from nbprod.ledger.log import NoteKind
from nbprod.ledger.sql import SqlLedger
from nbprod.ledger.transfer import exported, import_lines
from nbprod.merkle import (
    CompactRange,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from nbprod.record.ids import RunId
from tests.ledger.conftest import Told
from tests.postgres import PostgresServer
from tests.telling import started


def bodies(ledger: Ledger) -> list[bytes]:
    return [canonical(to_json(stored.event)) for stored in ledger.events()]


def root(ledger: Ledger, size: int | None = None) -> bytes:
    return root_of(ledger.log.size() if size is None else size, ledger.log.nodes)


def made_anew(leaves: list[bytes]) -> bytes:
    return CompactRange().extend(map(leaf_hash, leaves)).root


def test_events_get_their_places_in_order_and_keep_them(told: Told) -> None:
    log = told.ledger.log
    assert (log.sequence(), log.size(), log.waiting()) == (0, 0, 0)
    first = told.finish(told.start())
    assert (log.size(), log.waiting()) == (0, 2)
    assert (log.sequence(), log.waiting()) == (2, 0)
    before = list(log.leaves())
    assert [leaf.index for leaf in before] == [0, 1]
    assert [leaf.body for leaf in before] == bodies(told.ledger)
    assert [leaf.about["kind"] for leaf in before] == ["RunStarted", "RunFinished"]
    assert {leaf.about["run_id"] for leaf in before} == {str(first)}
    assert all(leaf.hash == leaf_hash(leaf.body or b"") for leaf in before)
    told.start()
    assert log.sequence() == log.sequence() == 3
    assert list(log.leaves())[:2] == before
    assert list(log.leaves(2)) == [log.leaf_of(list(told.ledger.events())[2].seq)]
    assert log.leaf_of(10**6) is None


def test_roots_and_proofs_are_those_of_the_events(told: Told) -> None:
    log, sizes = told.ledger.log, []
    for _ in range(5):
        told.finish(told.start())
        told.start()
        sizes.append(log.sequence())
    leaves = bodies(told.ledger)
    assert root(told.ledger) == made_anew(leaves)
    for size in sizes:
        assert root(told.ledger, size) == made_anew(leaves[:size])
        proof = consistency_proof(size, sizes[-1], log.nodes)
        check_consistency(size, sizes[-1], proof, root(told.ledger, size), root(told.ledger))
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(index, len(leaves), log.nodes)
        check_inclusion(leaf_hash(leaf), index, len(leaves), proof, root(told.ledger))


def test_a_log_of_many_thousands_is_read_by_few_hashes(tmp_path: Path) -> None:
    """Beyond the sizes at which nodes are kept, in batches that end anywhere."""
    ledger = open_ledger(str(tmp_path / "l.db"))
    assert isinstance(ledger, SqlLedger)
    ledger._connections.write(lambda c: c.execute(text(MANY), {"count": 66_000}))
    assert ledger.log.sequence() == 66_000
    ledger._connections.write(lambda c: c.execute(text(MANY), {"count": 700}))
    assert ledger.log.sequence() == 66_700
    leaves = [leaf.body or b"" for leaf in ledger.log.leaves()]
    for size in (66_700, 66_000, 65_536, 65_535, 256, 255, 1):
        assert root(ledger, size) == made_anew(leaves[:size])
    read: list[int] = []

    def counted(level: int, first: int, count: int) -> object:
        read.append(count)
        return ledger.log.nodes(level, first, count)

    proof = inclusion_proof(40_000, 66_700, counted)  # type: ignore[arg-type]
    check_inclusion(leaf_hash(leaves[40_000]), 40_000, 66_700, proof, root(ledger))
    assert sum(read) < 60
    ledger.close()


MANY = """
INSERT INTO events (step, kind, at, body)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
SELECT 's', 'StepPublished', '2026-01-01T00:00:00.000000Z', '{"i":' || i || '}' FROM n
"""


def test_many_who_ask_at_once_give_each_place_once(told: Told) -> None:
    for _ in range(10):
        told.finish(told.start())
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda _: told.ledger.log.sequence(), range(4)))
    assert set(sizes) == {20}
    assert [leaf.index for leaf in told.ledger.log.leaves()] == list(range(20))


def test_places_are_given_while_others_write(told: Told) -> None:
    stop = threading.Event()

    def write() -> None:
        for _ in range(100):
            told.finish(told.start())
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    roots = {}
    try:
        for _ in range(10):
            size = told.ledger.log.sequence()
            roots[size] = root(told.ledger, size)
    finally:
        stop.set()
        writer.join()
    assert told.ledger.log.sequence() == len(bodies(told.ledger))
    assert all(root(told.ledger, size) == was for size, was in roots.items())


def test_notes_are_kept_in_order_by_kind(told: Told) -> None:
    log = told.ledger.log
    numbers = [log.add_note(kind, f"{kind} ü\n") for kind in (NoteKind.KEYS, NoteKind.CHECKPOINT, NoteKind.KEYS)]
    assert numbers == [1, 2, 3]
    assert [(note.number, note.body) for note in log.notes(NoteKind.KEYS)] == [(1, "keys ü\n"), (3, "keys ü\n")]
    assert [note.number for note in log.notes(NoteKind.CHECKPOINT)] == [2]
    assert log.add_note(NoteKind.KEYS, "too late", behind=1) is None
    assert log.add_note(NoteKind.KEYS, "in time", behind=2) == 4


# --- what differs between databases ----------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlLedger]:
    ledger = open_ledger(str(tmp_path / "l.db") if request.param == "sqlite" else request.getfixturevalue("url"))
    assert isinstance(ledger, SqlLedger)
    yield ledger
    ledger.close()


CHANGES = [
    "UPDATE log_leaves SET hash = 'x' WHERE idx = 0",
    "DELETE FROM log_leaves WHERE idx = 0",
    "INSERT INTO log_leaves (idx, seq, hash) SELECT 999, max(seq), repeat('0', 64) FROM events",
    "UPDATE log_nodes SET hash = 'x'",
    "DELETE FROM log_nodes",
    "UPDATE log_notes SET body = 'x'",
    "DELETE FROM log_notes",
]


def test_the_schema_lets_nobody_change_the_log_by_mistake(kept: SqlLedger) -> None:
    kept._connections.write(lambda c: c.execute(text(MANY), {"count": 300}))
    kept.log.sequence()
    kept.log.add_note(NoteKind.KEYS, "x")
    kept._connections.write(lambda c: c.execute(text(MANY), {"count": 1}))
    before = list(kept.log.leaves()), list(kept.log.notes(NoteKind.KEYS))
    for statement in CHANGES:
        said = statement.replace("repeat('0', 64)", f"'{'0' * 64}'")
        with pytest.raises(InternalError, match=r"(?i)log|signed|places"):
            kept._connections.write(lambda connection, said=said: connection.execute(text(said)))  # type: ignore[misc]
    assert (list(kept.log.leaves()), list(kept.log.notes(NoteKind.KEYS))) == before


def test_a_ledger_that_moves_keeps_its_roots(kept: SqlLedger, tmp_path: Path) -> None:
    told = Told(kept, lambda _: None)
    for _ in range(20):
        told.finish(told.start())
        kept.log.sequence()
    other = open_ledger(str(tmp_path / "other.db"))
    import_lines(other, exported(kept))
    assert other.log.sequence() == kept.log.size()
    assert root(other) == root(kept)
    other.close()


def test_an_older_ledger_gets_its_log(tmp_path: Path, postgres: PostgresServer) -> None:
    """Events of before there was a log get their places when they are first asked for."""
    for address in (str(tmp_path / "l.db"), postgres.url(postgres.database())):
        ledger = open_ledger(address)
        told = Told(ledger, lambda _: None)
        told.finish(told.start())
        assert isinstance(ledger, SqlLedger)
        drop = ["DROP TABLE log_leaves", "DROP TABLE log_nodes", "DROP TABLE log_notes"]
        drop += ["DROP TABLE run_uses", "DROP INDEX runs_by_answer", "DROP INDEX runs_by_retried"]
        drop += ["ALTER TABLE runs DROP COLUMN fence", "DROP INDEX events_of_reviews"]
        drop += [] if "://" not in address else ["DROP FUNCTION log_is_kept", "DROP FUNCTION log_leaves_follow"]
        for statement in (*drop, "UPDATE nbprod_version SET version_num = '0003'"):
            ledger._connections.write(lambda c, statement=statement: c.execute(text(statement)))  # type: ignore[misc]
        ledger.close()
        again = open_ledger(address)
        assert isinstance(again, SqlLedger)
        assert again.migrated_from == "0003"
        assert again.log.sequence() == 2
        assert root(again) == made_anew(bodies(again))
        again.close()


def test_what_is_committed_late_comes_behind_and_moves_nothing(url: str) -> None:
    """A number is drawn before the commit: a lower one may become visible after a higher one."""
    ledger = open_ledger(url)
    assert isinstance(ledger, SqlLedger)
    told = Told(ledger, lambda _: None)
    told.start()
    skipped = 1_000
    ledger._connections.write(lambda c: c.execute(text("SELECT setval('events_seq_seq', 2000)")))
    told.start()
    assert ledger.log.sequence() == 2
    before, was = list(ledger.log.leaves()), root(ledger)
    late = started(RunId("01890000-0000-7000-8000-00000000000f"))
    insert = "INSERT INTO events (seq, run_id, kind, at, body) VALUES (:seq, :run, 'RunStarted', :at, :body)"
    body = canonical(to_json(late)).decode()
    values = {"seq": skipped, "run": str(late.run_id), "at": "2026-01-01T12:30:15.123456Z", "body": body}
    ledger._connections.write(lambda c: c.execute(text(insert), values))
    told.start()
    assert ledger.log.waiting() == 2
    assert ledger.log.sequence() == 4
    leaves = list(ledger.log.leaves())
    assert leaves[:2] == before
    assert [leaf.seq for leaf in leaves[2:]] == [skipped, 2002]
    check_consistency(2, 4, consistency_proof(2, 4, ledger.log.nodes), was, root(ledger))
    ledger.close()


def test_who_is_about_to_commit_is_waited_for(url: str) -> None:
    """So that places follow the numbers, and a ledger that moves keeps its roots."""
    ledger = open_ledger(url)
    assert isinstance(ledger, SqlLedger)
    told = Told(ledger, lambda _: None)
    with ledger._database.engine.connect() as slow, ThreadPoolExecutor(1) as pool:
        slow.execute(text("SELECT pg_advisory_xact_lock_shared('events'::regclass::oid::bigint)"))
        drawn = int(slow.execute(text("SELECT nextval('events_seq_seq')")).scalar_one())
        told.start()
        asked = pool.submit(ledger.log.sequence)
        assert not asked.done()
        late = started(RunId("01890000-0000-7000-8000-00000000000f"))
        insert = "INSERT INTO events (seq, run_id, kind, at, body) VALUES (:seq, :run, 'RunStarted', :at, :body)"
        body = canonical(to_json(late)).decode()
        values = {"seq": drawn, "run": str(late.run_id), "at": "2026-01-01T12:30:15.123456Z", "body": body}
        slow.execute(text(insert), values)
        slow.commit()
        assert asked.result(timeout=30) == 2
    assert [leaf.seq for leaf in ledger.log.leaves()] == [drawn, drawn + 1]
    ledger.close()


def test_what_there_is_of_runs_is_told_at_once(told: Told) -> None:
    ledger = told.ledger
    first, second = told.finish(told.start()), told.start()
    ledger.log.sequence()
    third = told.start()
    never = RunId("01890000-0000-7000-8000-000000000000")
    one, two, none, three = ledger.dossiers([first, second, never, third])
    assert [each.run_id for each in (one, two, none, three)] == [first, second, never, third]
    assert one.events == tuple(ledger.events(first))
    assert (one.ended, two.ended, one.differs, two.differs) == (True, False, (), ())
    assert list(one.leaves.values()) == [ledger.log.leaf_of(stored.seq) for stored in one.events]
    assert [leaf.index for leaf in two.leaves.values()] == [2]
    assert (none.events, none.leaves, none.ended, none.differs, none.fault) == ((), {}, False, (), None)
    assert (len(three.events), three.leaves) == (1, {})
    assert ledger.dossiers([]) == []
