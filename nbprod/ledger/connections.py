"""Connections to the ledger's database, shared by threads and never by processes."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, Select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import ColumnElement

from nbprod.errors import IntegrityError, NbprodError
from nbprod.ledger.events import RunFinished, RunStarted

__all__ = ["READ", "WRITE", "Connections", "Database", "Network", "Undecided"]

S = TypeVar("S")
T = TypeVar("T")

READ = "nbprod_read"
"""The execution option of a transaction that only reads."""

WRITE = "nbprod_write"
"""The execution option that tells an engine's hooks to begin a transaction that will write."""


class Database:
    """What differs between kinds of databases.

    Args:
        url: the ledger's address, without a password.
        engine: its connections.
        from_now: a SQL expression: the database's time so many seconds from now, as `moment_text` writes it.
        fault: makes our error out of the driver's.
        search: makes the query for the ids of the runs that may hold a text (`sought_text`); None without an index.
        check_search: compares the index of texts with the runs, in a transaction that may write, and says where they
            differ; None where the database itself keeps the two together.
        one_writer: whether only one transaction can write at a time.
        network: what a database across a network needs; None for one in this process.
    """

    def __init__(
        self,
        *,
        url: str,
        engine: Engine,
        from_now: Callable[[float], ColumnElement[str]],
        fault: Callable[[SQLAlchemyError], NbprodError],
        search: Callable[[Connection, str], Select[Any] | None],
        check_search: Callable[[Connection], list[str]] | None = None,
        one_writer: bool = True,
        network: Network | None = None,
    ) -> None:
        self.url = url
        self.engine = engine
        self.from_now = from_now
        self.fault = fault
        self.search = search
        self.check_search = check_search
        self.one_writer = one_writer
        self.network = network


class Network(Protocol):
    """How to go on after a connection was lost, and how transactions that run side by side take turns."""

    patience: float
    """Seconds to go on trying for."""

    def is_lost(self, error: SQLAlchemyError) -> bool:
        """Say whether the connection is lost, or the server not there at the moment: trying again may help."""
        ...

    def ticket(self, connection: Connection) -> str:
        """Return what the transaction is known by, once it has written."""
        ...

    def was_committed(self, connection: Connection, ticket: str) -> bool | None:
        """Say whether a transaction was committed; None: not decided yet."""
        ...

    def take_turns(self, connection: Connection, what: str) -> None:
        """Wait until no other transaction that asked for the same is under way."""
        ...

    def once(self, event: RunStarted | RunFinished, body: str) -> Callable[[Connection], int]:
        """Return what keeps an event by one statement, and says its number, also where it was kept already."""
        ...

    def last_drawn(self, connection: Connection) -> int:
        """Return the last sequence number that any transaction has drawn, committed or not."""
        ...

    def settle(self, connection: Connection) -> None:
        """Wait until every transaction that has drawn a sequence number has ended."""
        ...


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
        # Whoever drops a ledger without closing it leaves no connections open. The process's exit closes them anyway.
        weakref.finalize(self, database.engine.dispose).atexit = False

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do what reads, in a transaction that sees one state of the database; again where the connection is lost."""
        with self._faults():
            return self._again(lambda: self._read(work))

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do what writes, in a transaction that is committed, durably, once: also where the connection is lost.

        Args:
            work: leaves nothing behind but what it writes; done again where it is known not to have been committed.
        """
        with self._faults():
            return self._again(lambda: self._write(work)) if self._database.network is None else self._written(work)

    def once(self, work: Callable[[Connection], T]) -> T:
        """Do what is a single statement, committed by itself; again where the connection is lost.

        Args:
            work: knows, when it is done again, what it has done before.
        """
        engine = self._database.engine.execution_options(isolation_level="AUTOCOMMIT")

        def attempt() -> T:
            with self._counted(), engine.connect() as connection:
                return work(connection)

        with self._faults():
            return self._again(attempt)

    def _again(self, attempt: Callable[[], T]) -> T:
        network = self._database.network
        deadline = time.monotonic() + (network.patience if network else 0)
        for pause in _pauses():
            try:
                return attempt()
            except SQLAlchemyError as error:
                if network is None or not _may_pass(network, error) or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
        raise AssertionError  # pragma: no cover - pauses never end

    def _written(self, work: Callable[[Connection], T]) -> T:
        network = self._database.network
        assert network is not None  # noqa: S101 - asked before
        done: list[tuple[T, str]] = []

        def decided(connection: Connection) -> bool:
            committed = network.was_committed(connection, done[0][1])
            if committed is None:
                raise Undecided
            return committed

        def attempt() -> T:
            committed = self._read(decided) if done else False
            if committed:
                return done[0][0]
            done.clear()
            return self._write(noted)

        def noted(connection: Connection) -> T:
            result = work(connection)
            # From here on the commit may arrive although its reply is lost: the ticket tells.
            done.append((result, network.ticket(connection)))
            return result

        return self._again(attempt)

    def _read(self, work: Callable[[Connection], S]) -> S:
        engine = self._database.engine.execution_options(**{READ: True})
        with self._counted(), engine.connect() as connection, connection.begin():
            return work(connection)

    def _write(self, work: Callable[[Connection], T]) -> T:
        engine = self._database.engine.execution_options(**{WRITE: True})
        queue = self._writing if self._database.one_writer else nullcontext()
        with self._counted(), queue, engine.begin() as connection:
            return work(connection)

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
        except SQLAlchemyError as error:
            raise self._database.fault(error) from error
        except UnicodeDecodeError as error:  # of a damaged schema, which SQLite's own message quotes
            told = f"the ledger {self._database.url} holds what is no text"
            raise IntegrityError(told, expected="UTF-8", found=str(error)[:200]) from error


class Undecided(SQLAlchemyError):
    """Not known yet: a transaction is under way on the server, or what stood in the way is gone. To be tried again."""


def _may_pass(network: Network, error: SQLAlchemyError) -> bool:
    return isinstance(error, Undecided) or network.is_lost(error)


def _pauses() -> Iterator[float]:
    """Yield how long to wait between attempts: not at all first, as a connection that died idle is just replaced."""
    yield 0
    pause = 0.05
    while True:
        yield pause
        pause = min(pause * 2, 2)


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
