"""Connections to the ledger's database, shared by threads and never by processes."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement

from nbprod.errors import NbprodError

__all__ = ["WRITE", "Connections", "Database"]

WRITE = "nbprod_write"
"""The execution option that tells an engine's hooks to begin a transaction that will write."""


class Database:
    """What differs between kinds of databases.

    Args:
        url: the ledger's address, without a password.
        engine: its connections.
        from_now: a SQL expression: the database's time so many seconds from now, as `moment_text` writes it.
        fault: makes our error out of the driver's.
    """

    def __init__(
        self,
        *,
        url: str,
        engine: Engine,
        from_now: Callable[[float], ColumnElement[str]],
        fault: Callable[[DBAPIError], NbprodError],
    ) -> None:
        self.url = url
        self.engine = engine
        self.from_now = from_now
        self.fault = fault


class Connections:
    """Short transactions on pooled connections.

    A connection that lives through a fork is poison: SQLite's locks belong to a process, and a child that inherits
    SQLite's own account of them believes it holds what it doesn't; when the parent closes, the log is deleted under
    the child's feet (sqlite.org/howtocorrupt.html, 2.6). So a fork waits for the transactions under way, which are
    short, and finds the pool empty.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gate = threading.Condition(threading.RLock())
        self._under_way = 0
        self._forking = False
        # Threads of one process queue here, in order, instead of polling for the database's lock.
        self._writing = threading.Lock()
        _watch_forks(self)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in a transaction that sees one state of the database."""
        with self._counted(), self._faults(), self._database.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in the one transaction that may write; committed, durably, at the end."""
        engine = self._database.engine.execution_options(**{WRITE: True})
        with self._counted(), self._writing, self._faults(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._database.engine.dispose()

    def before_fork(self) -> None:
        """Wait until no transaction is under way, close all connections, and hold new ones back."""
        self._gate.acquire()
        self._forking = True  # or a busy process would never be without a transaction under way
        self._gate.wait_for(lambda: self._under_way == 0)
        self.close()

    def after_fork(self) -> None:
        """Let transactions go on, in parent and child."""
        self._forking = False
        self._gate.notify_all()
        self._gate.release()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._gate:
            self._gate.wait_for(lambda: not self._forking)
            self._under_way += 1
        try:
            yield
        finally:
            with self._gate:
                self._under_way -= 1
                self._gate.notify_all()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._database.fault(error) from error


def _watch_forks(connections: Connections) -> None:
    """Register for forks without keeping the object alive: a registration can't be taken back."""
    reference = weakref.ref(connections)
    held: list[Connections] = []

    def before() -> None:
        alive = reference()
        if alive is not None:
            alive.before_fork()
            held.append(alive)

    def after() -> None:
        while held:
            held.pop().after_fork()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after)
