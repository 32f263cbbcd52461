"""SQLite as the ledger's database: durable, patient, and clear about what it can't do."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import ColumnElement

from nbprod.errors import IntegrityError, InternalError, LedgerUnavailable, NbprodError
from nbprod.ledger.connections import WRITE, Database
from nbprod.ledger.sqlite_search import check_search, search

__all__ = ["sqlite_database"]

PATIENCE = 60
"""Seconds to wait for another writer."""

_FOUND = {
    # by the beginning of SQLite's error name (sqlite.org/rescode.html)
    "SQLITE_BUSY": (
        f"locked by another process for more than {PATIENCE} seconds",
        "Find out who holds it (`fuser` on the file), and try again",
    ),
    "SQLITE_LOCKED": ("locked by another connection", "Try again"),
    "SQLITE_READONLY": ("a file or folder that may only be read", "Give this user the right to write file and folder"),
    "SQLITE_CANTOPEN": ("a file that cannot be opened", "Give this user the right to read and write file and folder"),
    "SQLITE_PERM": ("missing rights", "Give this user the right to read and write file and folder"),
    "SQLITE_NOTADB": ("a file that is no SQLite database", "Move it away, or choose another path for the ledger"),
    "SQLITE_CORRUPT": ("a damaged SQLite database", "Keep a copy of it, then rebuild it with `sqlite3 FILE .recover`"),
    "SQLITE_FULL": ("a full disk", "Free some space, then try again: nothing half-written was left behind"),
    "SQLITE_IOERR": ("a fault of the disk", "Look at the system's log (`dmesg`), and check the disk's free space"),
}


def sqlite_database(path: Path) -> Database:
    """Return the database in a file; its folder is made if need be, the file at the first connection.

    Raises:
        LedgerUnavailable: the folder can't be made.
    """
    path = path.absolute()
    url = f"sqlite:///{path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnavailable(
            f"the ledger {url} cannot be opened",
            expected="a folder that this user may write",
            found=f"{error.strerror} at {error.filename}",
            hint="Give this user the right to write there, or choose another path for the ledger",
        ) from error
    # Isolation level None: the driver begins no transactions of its own, `_begin` does.
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": PATIENCE, "isolation_level": None},
        max_overflow=-1,
    )
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begin)
    return Database(
        url=url,
        engine=engine,
        from_now=_from_now,
        fault=lambda error: _fault(url, error),
        search=search,
        check_search=check_search,
    )


def _from_now(seconds: float) -> ColumnElement[str]:
    # SQLite's clock has milliseconds.
    return func.strftime("%Y-%m-%dT%H:%M:%f000Z", "now", f"{seconds:+.3f} seconds")


def _connected(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA foreign_keys = ON")
        _use_wal(cursor)
        # In WAL mode only FULL fsyncs the log at each commit.
        cursor.execute("PRAGMA synchronous = FULL")
    finally:
        cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch a new database to write-ahead logging.

    Not all of the switch waits for others (the busy time-out doesn't apply to every lock it takes), so where several
    processes open a fresh ledger at once we try again ourselves.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once, without waiting, if another one wrote in between:
    # one that will write takes the lock at its beginning.
    write = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _fault(url: str, error: SQLAlchemyError) -> NbprodError:
    cause = getattr(error, "orig", error)
    name = str(getattr(cause, "sqlite_errorname", ""))
    for prefix, (found, hint) in _FOUND.items():
        if name.startswith(prefix):
            return LedgerUnavailable(
                f"the ledger {url} cannot be used",
                expected="a SQLite database that this user may read and write",
                found=f"{found} ({cause})",
                hint=hint,
            )
    if "Could not decode to UTF-8" in str(cause):
        return IntegrityError(f"the ledger {url} holds what is no text", expected="UTF-8", found=str(cause)[:200])
    if name.startswith("SQLITE_CONSTRAINT"):
        return InternalError("the ledger's schema refused an event or row", found=str(cause))
    return LedgerUnavailable(f"the ledger {url} cannot be used", found=f"{cause} {name}".strip())
