"""What only a ledger in SQLite can get wrong: processes, the schema, the disk."""

from __future__ import annotations

import gc
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from nbprod.errors import IntegrityError, InternalError, LedgerUnavailable, SettingsError, UnsupportedVersion
from nbprod.ledger import Ledger, RunQuery, open_ledger
from nbprod.ledger.audit import audit
from nbprod.ledger.events import RunEvent, RunNamed, StepPublished, StepReviewed
from nbprod.record.ids import RunId
from nbprod.record.review import Decision
from tests.house import ROOT
from tests.tally import counting, kills_of
from tests.telling import DIGEST, START, finished, started

NOBODY = 65534


def new_id() -> RunId:
    return RunId.new(datetime.now(UTC), os.urandom(10))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(str(path))
    yield ledger
    ledger.close()


@pytest.fixture
def raw(ledger: Ledger, path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


# --- processes ---


def appenders(path: Path, processes: int, runs: int) -> float:
    """Let so many processes open the ledger and append at once; return the seconds that the slowest appended for."""
    argv = [sys.executable, "-W", "error", "-m", "tests.ledger.appender", str(path), str(runs)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(argv, text=True, cwd=ROOT, **pipes) for _ in range(processes)]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * processes, said
    return max(float(out) for out, _ in said)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [15, pytest.param(100, marks=pytest.mark.torture)])
def test_sixteen_processes_append_runs(path: Path, runs: int, record_property: Callable[[str, object], None]) -> None:
    record_property("seconds", appenders(path, 16, runs))
    ledger = open_ledger(str(path))
    assert sum(1 for _ in ledger.runs(RunQuery(running=False))) == 16 * runs
    assert [each.seq for each in ledger.events()] == list(range(1, 32 * runs + 1))
    ledger.close()


def lost_by_a_kill(path: Path, ledger: Ledger, telling: str, seconds: float) -> set[str]:
    """Kill an appender so long after its first run; return what it has told to be appended, and is not there."""
    before = max((stored.seq for stored in ledger.events()), default=0)
    argv = [sys.executable, "-m", "tests.ledger.appender", str(path), "1000000", telling]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline(), process.stdout.readline()]
        time.sleep(seconds)
        process.kill()
        said += process.stdout.readlines()
    stored = list(ledger.events(after=before))
    seqs = [each.seq for each in stored]
    assert seqs == list(range(before + 1, before + len(seqs) + 1)), "what was there is there, and nothing is between"
    there = {
        f"{each.event.run_id} {type(each.event).__name__}\n" for each in stored if isinstance(each.event, RunEvent)
    }
    return {line for line in said if line.endswith("\n")} - there


@pytest.mark.parametrize(
    "kills", [2, pytest.param(kills_of("ledger"), marks=[pytest.mark.torture, pytest.mark.timeout(3500)])]
)
def test_an_appender_killed_at_any_moment_leaves_a_sound_ledger(path: Path, kills: int) -> None:
    dice = random.Random(5)
    ledger = open_ledger(str(path))
    with counting("kill -9 of those who append to the ledger", kills, seed=5) as count:
        for _ in range(kills):
            assert lost_by_a_kill(path, ledger, "honest", dice.uniform(0.0, 0.1)) == set()
            count.add("killed")
    assert audit(ledger).faults == []
    # Positive controls: one who tells before it is so; and a row that is not what its events say.
    assert any(lost_by_a_kill(path, ledger, "hasty", dice.uniform(0.0, 0.1)) for _ in range(30))
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.execute("UPDATE runs SET host = 'another' WHERE rowid = (SELECT max(rowid) - 1 FROM runs)")
    assert audit(ledger).faults != []  # positive control
    ledger.close()


def test_several_processes_open_a_fresh_ledger_at_once(path: Path) -> None:
    appenders(path, 6, 2)
    ledger = open_ledger(str(path))
    assert len(list(ledger.runs(RunQuery()))) == 12
    ledger.close()


def test_a_plain_begin_fails_where_ours_waits(path: Path, ledger: Ledger) -> None:
    """The control for BEGIN IMMEDIATE: a transaction that reads first loses at once, however patient."""
    naive = sqlite3.connect(path, isolation_level=None, timeout=60)
    naive.execute("BEGIN")
    naive.execute("SELECT count(*) FROM events").fetchone()
    ledger.append(started(new_id()))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        naive.execute("INSERT INTO run_tags VALUES ('x', 'y')")
    naive.close()


def test_writers_wait_for_a_lock(path: Path, ledger: Ledger, raw: sqlite3.Connection) -> None:
    raw.execute("BEGIN IMMEDIATE")
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(ledger.append(started(new_id()))))
    thread.start()
    time.sleep(0.3)
    assert done == []
    raw.execute("COMMIT")
    thread.join(10)
    assert done == [1]


def test_a_lock_held_too_long_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ledger(str(path)).close()
    monkeypatch.setattr("nbprod.ledger.sqlite.PATIENCE", 0.1)
    ledger = open_ledger(str(path))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked by another process"):
        ledger.append(started(new_id()))
    holder.execute("ROLLBACK")
    ledger.append(started(new_id()))  # positive control
    holder.close()
    ledger.close()


def test_a_forked_child_opens_connections_of_its_own(path: Path) -> None:
    ledger = open_ledger(str(path))
    ledger.append(started(new_id()))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # The parent closes, and SQLite deletes the log, while the child is at work.
            time.sleep(0.3)
            ledger.append(started(new_id()))
            time.sleep(0.3)
            ledger.append(started(new_id()))
            code = 0
        finally:
            os._exit(code)
    ledger.append(started(new_id()))
    ledger.close()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    again = open_ledger(str(path))
    assert [each.seq for each in again.events()] == [1, 2, 3, 4]
    again.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_threads_write(path: Path) -> None:
    ledger = open_ledger(str(path))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ledger.append(started(new_id()))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = []
    for _ in range(5):
        child = forked(ledger)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for thread in threads:
        thread.join()
    assert codes == [0] * 5
    ledger.close()


def forked(ledger: Ledger) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ledger.append(started(new_id()))
            code = 0
        finally:
            os._exit(code)
    return child


def test_a_ledger_that_nobody_holds_is_let_go(path: Path) -> None:
    ledger = open_ledger(str(path))
    connections = ledger._connections  # type: ignore[attr-defined]
    ledger.close()
    del ledger
    gc.collect()
    assert len(gc.get_referrers(connections)) <= 1  # this frame


# --- the schema ---


def test_settings_of_a_connection(ledger: Ledger) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    found = ledger._connections.read(  # type: ignore[attr-defined]
        lambda connection: {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
    )
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 60_000}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 1",
        "INSERT OR REPLACE INTO events SELECT seq + 9, run_id, step, kind, at, body FROM events WHERE seq = 1",
        "INSERT INTO events SELECT seq + 9, run_id, step, kind, at, body FROM events WHERE seq = 2",
        "INSERT INTO events SELECT seq + 9, lower(hex(randomblob(18))), NULL, 'RunNamed', at, body FROM events",
        "INSERT INTO events SELECT seq + 9, NULL, NULL, kind, at, body FROM events WHERE seq = 1",
        "INSERT INTO events SELECT seq + 9, NULL, 'train', kind, at, body FROM events WHERE seq = 1",
        "UPDATE runs SET shared = 2",
        "INSERT INTO step_aliases VALUES ('train', 'production', 1)",
        "UPDATE runs SET status = 'failed' WHERE status = 'succeeded'",
        "UPDATE runs SET record = NULL WHERE status IS NOT NULL",
        "UPDATE runs SET status = 'failed' WHERE status IS NULL",
        "UPDATE runs SET reason = 'x' WHERE status IS NULL",
        "UPDATE runs SET lease_until = NULL WHERE status IS NULL",
        "UPDATE runs SET started = 'yesterday'",
        "INSERT INTO run_tags VALUES ('x', 'y')",
        "INSERT INTO run_values SELECT run_id, 'scrap', 'x', NULL, NULL FROM runs",
    ],
)
def test_the_schema_keeps_the_invariants(ledger: Ledger, raw: sqlite3.Connection, statement: str) -> None:
    done, running = new_id(), new_id()
    ledger.append(started(done))
    ledger.append(finished(done))
    ledger.append(started(running))
    raw.execute("PRAGMA foreign_keys = ON")
    before = list(ledger.events()), list(ledger.runs(RunQuery()))
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)
    assert (list(ledger.events()), list(ledger.runs(RunQuery()))) == before
    raw.execute("UPDATE runs SET note = 'fine'")  # positive control


def test_a_broken_invariant_is_our_bug(ledger: Ledger, raw: sqlite3.Connection) -> None:
    run_id = new_id()
    ledger.append(started(run_id))
    raw.execute("CREATE TRIGGER refuse BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(InternalError, match="schema refused"):
        ledger.append(RunNamed(at=START, run_id=run_id, name="x"))


def test_queries_and_schema_agree_on_columns(ledger: Ledger) -> None:
    from sqlalchemy import Connection, inspect

    from nbprod.ledger.tables import VERSION_TABLE, metadata

    def columns(connection: Connection) -> dict[str, list[str]]:
        inspector = inspect(connection)
        return {
            table: [column["name"] for column in inspector.get_columns(table)]
            for table in inspector.get_table_names()
            if table != VERSION_TABLE and not table.startswith("run_search")  # which no query of ours takes columns of
        }

    found = ledger._connections.read(columns)  # type: ignore[attr-defined]
    assert found == {table.name: [column.name for column in table.columns] for table in metadata.tables.values()}


def test_versions_and_migrations_agree() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from nbprod.ledger.schema import VERSIONS

    config = Config()
    config.set_main_option("script_location", "nbprod.ledger:migrations")
    config.set_main_option("path_separator", "os")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == VERSIONS


def test_a_ledger_of_the_first_version_is_brought_up_to_date(path: Path, ledger: Ledger, tmp_path: Path) -> None:
    """Its events are the same to the byte, and all promises hold."""
    done, running = new_id(), new_id()
    for event in (started(done), finished(done), started(running)):
        ledger.append(event)
    stored = [(each.seq, each.event) for each in ledger.events()]
    old = tmp_path / "old.db"
    with sqlite3.connect(old) as raw, sqlite3.connect(path) as new:
        raw.executescript(files("nbprod.ledger.migrations.versions").joinpath("v0001_sqlite.sql").read_text("utf-8"))
        raw.execute("CREATE TABLE nbprod_version (version_num VARCHAR(32) NOT NULL)")
        raw.execute("INSERT INTO nbprod_version VALUES ('0001')")
        raw.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
            new.execute("SELECT seq, run_id, kind, at, body FROM events").fetchall(),
        )
        columns = ", ".join(row[1] for row in raw.execute("PRAGMA table_info(runs)"))
        rows = new.execute(f"SELECT {columns} FROM runs").fetchall()
        raw.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * len(rows[0]))})", rows)
        bodies = raw.execute("SELECT body FROM events ORDER BY seq").fetchall()
    again = open_ledger(str(old))
    assert [(each.seq, each.event) for each in again.events()] == stored
    assert list(again.runs(RunQuery())) == list(ledger.runs(RunQuery()))
    assert [row.run_id for row in again.runs(RunQuery(text="succeeded"))] == [done]
    assert again.append(finished(running)) == 4
    said = {"at": START, "step": "train", "number": 1, "manifest": DIGEST, "by": "ada"}
    again.append(StepPublished(**said))
    again.append(StepReviewed(**said, decision=Decision.APPROVED, why="w", log="l", attestation=DIGEST))
    assert audit(again).faults == []
    again.close()
    with sqlite3.connect(old) as raw:
        assert raw.execute("SELECT body FROM events ORDER BY seq LIMIT 3").fetchall() == bodies
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw.execute("DELETE FROM events")


def test_a_schema_that_is_no_text_any_more_is_told(path: Path, ledger: Ledger) -> None:
    ledger.append(started(new_id()))
    ledger.close()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CREATE TABLE run_tags", b"CREATE TABL\xe5 run_tags"))
    with pytest.raises((IntegrityError, LedgerUnavailable)):
        list(ledger.events())
    ledger.close()
    path.write_bytes(data)
    assert len(list(ledger.events())) == 1  # positive control


def test_a_newer_schema_is_refused(path: Path, ledger: Ledger, raw: sqlite3.Connection) -> None:
    open_ledger(str(path)).close()  # positive control
    raw.execute("UPDATE nbprod_version SET version_num = '9999'")
    with pytest.raises(UnsupportedVersion, match=r"newer nbprod.*9999"):
        open_ledger(str(path))


def test_an_up_to_date_ledger_opens_without_alembic(path: Path, ledger: Ledger) -> None:
    script = (
        "import sys\n"
        "import nbprod.ledger.sql, nbprod.ledger.sqlite\n"
        "from nbprod.ledger import open_ledger\n"
        "open_ledger(sys.argv[1]).close()\n"
        "print('sqlalchemy' in sys.modules, 'alembic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_the_package_is_light() -> None:
    script = "import sys, nbprod.ledger, nbprod.store\nassert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


# --- addresses, and what is in the way ---


def test_addresses(tmp_path: Path) -> None:
    first = open_ledger("sub/ledger.db", base=tmp_path)
    first.append(started(new_id()))
    first.close()
    for url in (first.url, f"sqlite:///{tmp_path}/sub/ledger.db"):
        again = open_ledger(url)
        assert (again.url, len(list(again.events()))) == (first.url, 1)
        again.close()


@pytest.mark.parametrize("url", ["mysql://me:secret@host/db", "", "sqlite://", "sqlite:///:memory:", "a\0b"])
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        open_ledger(url)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"just some text\n" * 100)
    with pytest.raises(LedgerUnavailable, match="no SQLite database"):
        open_ledger(str(path))
    assert path.read_bytes() == b"just some text\n" * 100


def test_another_applications_database(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE experiments (id)")
    other.close()
    with pytest.raises(LedgerUnavailable, match=r"is no ledger.*experiments"):
        open_ledger(str(path))


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match=r"cannot be opened|cannot be used"):
        open_ledger(str(tmp_path))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LedgerUnavailable, match=r"Not a directory|File exists"):
        open_ledger(str(tmp_path / "file" / "ledger.db"))


@pytest.mark.parametrize("closed", ["folder", "file"])
def test_missing_rights(closed: str) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        open_ledger(str(folder / "ledger.db")).close()
        folder.chmod(0o777 if closed == "file" else 0o555)
        (folder / "ledger.db").chmod(0o444 if closed == "file" else 0o666)
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        with pytest.raises(LedgerUnavailable, match="right"):
            open_ledger(str(folder / ("ledger.db" if closed == "file" else "new/ledger.db"))).append(started(new_id()))
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o777)
        shutil.rmtree(folder)


@pytest.mark.parametrize(("level", "heard"), [(logging.NOTSET, False), (logging.INFO, True)])
def test_making_a_ledger_says_nothing_in_the_callers_log_unless_asked(
    path: Path,
    caplog: pytest.LogCaptureFixture,
    level: int,
    heard: bool,  # noqa: FBT001
) -> None:
    caplog.set_level(logging.INFO)  # as papermill's command line sets it
    logger = logging.getLogger("alembic")
    logger.setLevel(level)
    try:
        open_ledger(str(path)).close()
        assert any(record.name.startswith("alembic") for record in caplog.records) is heard
        assert logger.level == level
    finally:
        logger.setLevel(logging.NOTSET)
