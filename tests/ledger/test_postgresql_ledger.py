"""What only a ledger on PostgreSQL can get wrong: addresses, rights, the network, commits out of order."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from nbprod.errors import InternalError, LedgerUnavailable, SettingsError, UnsupportedVersion
from nbprod.ledger import Ledger, RunQuery, open_ledger
from nbprod.ledger.audit import audit
from nbprod.ledger.events import RunHeard, StepPublished
from nbprod.ledger.tables import VERSION_TABLE, metadata
from nbprod.ledger.transfer import exported
from nbprod.record.ids import RunId
from tests.house import ROOT
from tests.postgres import PostgresServer
from tests.proxy import Fault, Proxy
from tests.telling import DIGEST, START, finished, started


def new_id() -> RunId:
    return RunId.new(datetime.now(UTC), os.urandom(10))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = open_ledger(url)
    yield ledger
    ledger.close()


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


# --- addresses, and what is in the way ---


def test_no_password_is_shown(postgres: PostgresServer, ledger: Ledger) -> None:
    assert postgres.password not in ledger.url
    assert ledger.url.startswith("postgresql://postgres@127.0.0.1:")


@pytest.mark.parametrize("url", ["postgresql://", "postgresql://me:secret@host", "postgresql://me:secret@host:x/db"])
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        open_ledger(url)
    assert "secret" not in str(raised.value)


def test_what_is_in_the_way_is_said(
    postgres: PostgresServer, url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbprod.ledger.postgresql.PostgresqlNetwork.patience", 0.2)
    open_ledger(url).close()  # positive control
    name = name_of(url)
    postgres.query("CREATE ROLE reader LOGIN PASSWORD 'word'")
    postgres.query("GRANT pg_read_all_data TO reader")
    for address, says in (
        (url.replace(postgres.password, "wrong-word"), "the password is wrong"),
        (postgres.url("nowhere"), "there is no such database"),
        (postgres.url(name, port=1), "does not answer"),
    ):
        with pytest.raises(LedgerUnavailable, match=says) as raised:
            open_ledger(address)
        assert "wrong-word" not in str(raised.value)
        assert postgres.password not in str(raised.value)
    reader = open_ledger(url.replace(f"postgres:{postgres.password}", "reader:word"))
    with pytest.raises(LedgerUnavailable, match="no right to do this"):
        reader.append(started(new_id()))
    reader.close()
    postgres.query(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    fixed = open_ledger(url)
    with pytest.raises(LedgerUnavailable, match="may only be read"):
        fixed.append(started(new_id()))
    fixed.close()


def test_a_newer_schema_is_refused(postgres: PostgresServer, url: str) -> None:
    postgres.query("UPDATE nbprod_version SET version_num = '9999'", name_of(url))
    with pytest.raises(UnsupportedVersion, match=r"newer nbprod.*9999"):
        open_ledger(url)


def test_queries_and_schema_agree_on_columns(postgres: PostgresServer, url: str) -> None:
    found: dict[str, list[str]] = {}
    for table, column in postgres.query(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "ORDER BY table_name, ordinal_position",
        name_of(url),
    ):
        found.setdefault(table, []).append(column)
    del found[VERSION_TABLE]
    # Columns that came with a later version stand last in the database, wherever queries name them.
    wanted = {table.name: sorted(column.name for column in table.columns) for table in metadata.tables.values()}
    assert {table: sorted(columns) for table, columns in found.items()} == wanted


def test_a_ledger_of_the_first_version_is_brought_up_to_date(postgres: PostgresServer, ledger: Ledger) -> None:
    """Its events are the same to the byte, its index is, and all promises hold."""
    done, running = new_id(), new_id()
    events = (
        started(done, tags=("a", "b"), parameters={"x": 1, "y": "text"}, name="nul \0 inside"),
        finished(done, scraps={"auc": 0.5}),
        started(running, note="Größe"),
    )
    for event in events:
        ledger.append(event)
    ledger.request_cancel(running)
    stored = list(exported(ledger))

    name = postgres.database()
    script = files("nbprod.ledger.migrations.versions").joinpath("v0001_postgresql.sql").read_text("utf-8")
    with (
        psycopg.connect(postgres.conninfo(name_of(ledger.url))) as new,
        psycopg.connect(postgres.conninfo(name)) as old,
    ):
        old.execute(script.encode())
        old.execute("CREATE TABLE nbprod_version (version_num VARCHAR(32) NOT NULL)")
        old.execute("INSERT INTO nbprod_version VALUES ('0001')")
        for table in ("events", "runs", "run_tags", "run_values"):
            columns = ", ".join(each.name for each in old.execute(f"SELECT * FROM {table}").description or ())
            for row in new.execute(f"SELECT {columns} FROM {table}").fetchall():
                old.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(row))})", row)
        old.execute("SELECT setval('events_seq_seq', (SELECT max(seq) FROM events))")

    again = open_ledger(postgres.url(name))
    assert getattr(again, "migrated_from", None) == "0001"
    assert list(exported(again)) == stored
    assert list(again.runs(RunQuery())) == list(ledger.runs(RunQuery()))
    assert audit(again).faults == []
    assert [row.run_id for row in again.runs(RunQuery(text="größe"))] == [running]
    assert again.append(finished(running)) == len(stored) + 1
    again.append(StepPublished(at=START, step="train", number=1, manifest=DIGEST, by="ada"))
    again.append(started(new_id(), shared=True, occasion="monday"))
    assert audit(again).faults == []
    again.close()
    with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
        postgres.query("DELETE FROM events", name)


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('not there')")
    script = "from nbprod.ledger import open_ledger\nopen_ledger('postgresql://me:secret@host/db')"
    path = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=path, capture_output=True, text=True, check=False)
    assert "nbprod[postgres]" in done.stderr
    assert "secret@" not in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}'",
        "DELETE FROM events",
        "TRUNCATE events CASCADE",
        "INSERT INTO events (run_id, kind, at, body) SELECT run_id, kind, at, body FROM events",
        "UPDATE runs SET status = 'failed' WHERE status = 'succeeded'",
        "UPDATE runs SET status = 'failed' WHERE status IS NULL",
        "UPDATE runs SET lease_until = NULL WHERE status IS NULL",
        "UPDATE runs SET started = 'yesterday'",
        "INSERT INTO run_tags VALUES ('x', 'y')",
    ],
)
def test_the_schema_keeps_the_invariants(postgres: PostgresServer, url: str, ledger: Ledger, statement: str) -> None:
    done = new_id()
    for event in (started(done), finished(done), started(new_id())):
        ledger.append(event)
    before = list(ledger.events()), list(ledger.runs(RunQuery()))
    with pytest.raises(psycopg.IntegrityError):
        postgres.query(statement, name_of(url))
    assert (list(ledger.events()), list(ledger.runs(RunQuery()))) == before
    postgres.query("UPDATE runs SET note = 'fine'", name_of(url))  # positive control


def test_a_broken_invariant_is_our_bug(postgres: PostgresServer, url: str, ledger: Ledger) -> None:
    postgres.query("ALTER TABLE events ADD CONSTRAINT no CHECK (kind <> 'RunStarted')", name_of(url))
    with pytest.raises(InternalError, match="schema refused"):
        ledger.append(started(new_id()))


# --- commits out of order ---


def test_an_event_that_is_committed_late_is_not_skipped(postgres: PostgresServer, url: str, ledger: Ledger) -> None:
    with psycopg.connect(postgres.conninfo(name_of(url))) as slow:
        row = ("01890000-0000-7000-8000-000000000000", "RunStarted", "2026-01-01T00:00:00.000000Z")
        body = next(iter_bodies(ledger, postgres, url)).replace("\0", "")
        slow.execute("INSERT INTO events (run_id, kind, at, body) VALUES (%s, %s, %s, %s)", (*row, body))
        ledger.append(started(new_id()))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(each.seq for each in ledger.events(after=1)))
        reader.start()
        time.sleep(0.3)
        assert seen == []  # it waits: number 2 is not decided yet
        slow.commit()
        reader.join(20)
    assert seen == [2, 3]


def iter_bodies(ledger: Ledger, postgres: PostgresServer, url: str) -> Iterator[str]:
    ledger.append(started(new_id()))
    yield postgres.query("SELECT body FROM events", name_of(url))[0][0]


# --- the network ---


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET, Fault.DELAY, Fault.TRUNCATE, Fault.HALF_OPEN])
def test_what_the_network_does_loses_and_doubles_nothing(
    postgres: PostgresServer, url: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is switched on and off at odd moments of a stream of appends, so that some hit a commit's reply."""
    monkeypatch.setattr("nbprod.ledger.postgresql.REPLY", 2)
    with Proxy(("127.0.0.1", postgres.port), delay=0.3, keep=30) as proxy:
        ledger = open_ledger(postgres.url(name_of(url), port=proxy.port))
        run_id = new_id()
        ledger.append(started(run_id))
        before = proxy.connections
        stop = threading.Event()
        rounds = 1 if fault is Fault.HALF_OPEN else 6

        def spoil() -> None:
            for number in range(rounds):
                time.sleep(0.05 + number * 0.013)
                proxy.switch(fault)
                time.sleep(0.02)
                proxy.switch(Fault.NONE)
            stop.set()

        thread = threading.Thread(target=spoil)
        thread.start()
        told = []
        for number in itertools.count():
            ledger.append(RunHeard(at=START, run_id=run_id, what=str(number)))
            told.append(str(number))
            if stop.is_set():
                break
        thread.join()
        direct = open_ledger(url)
        heard = [each.event.what for each in direct.events(run_id) if isinstance(each.event, RunHeard)]
        assert heard == told
        assert (proxy.connections > before) is (fault is not Fault.DELAY)  # positive control: connections were lost
        direct.close()
        ledger.close()


def test_a_server_that_was_restarted_is_not_noticed() -> None:
    with PostgresServer() as server:
        ledger = open_ledger(server.url(server.database()))
        first = new_id()
        ledger.append(started(first))
        server.stop()
        server.start()
        ledger.append(finished(first))
        assert len(list(ledger.events())) == 2
        ledger.close()


def test_sixteen_processes_append_ten_runs_each(url: str, ledger: Ledger) -> None:
    argv = [sys.executable, "-W", "error", "-m", "tests.ledger.appender", url, "10"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(argv, text=True, cwd=ROOT, **pipes) for _ in range(16)]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * 16, said
    assert sum(1 for _ in ledger.runs(RunQuery(running=False))) == 160
    assert len(list(ledger.events())) == 320
