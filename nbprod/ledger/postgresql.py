"""PostgreSQL as the ledger's database: many writers, across a network that may fail (decision 0014)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from sqlalchemy import URL, Connection, Select, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from nbprod.errors import SettingsError
from nbprod.ledger.connections import READ, Database
from nbprod.ledger.events import RunFinished, RunStarted
from nbprod.ledger.postgresql_append import Once, from_now
from nbprod.ledger.postgresql_faults import Faults
from nbprod.ledger.tables import runs

__all__ = ["postgresql_database"]

PATIENCE = 60
"""Seconds to wait for a server that is away, and for another transaction."""

CONNECT_TIMEOUT = 10
"""Seconds for one attempt to connect."""

SILENCE = 10
"""Seconds without a sign from the other side after which a connection counts as lost, here and on the server."""

REPLY = 20
"""Seconds to wait for a reply: a middleman acknowledges what it swallows, so that keepalives see nothing."""

_GROUP = 3
"""Characters of which the index of texts knows."""

_POOL = 5
"""Connections that one process holds at most; further threads wait for one."""

_DEFAULTS: Mapping[str, str] = {
    # libpq's own options; what the address says goes before them.
    "application_name": "nbprod",
    "connect_timeout": str(CONNECT_TIMEOUT),
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": str(SILENCE * 1000),
}

_SESSION = (
    # A client that vanished must not keep others waiting for its locks.
    f"SET idle_in_transaction_session_timeout = '{SILENCE}s'",
    f"SET lock_timeout = '{SILENCE}s'",  # below REPLY; then it is tried again
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 3",
    "SET tcp_keepalives_count = 3",
    f"SET tcp_user_timeout = '{SILENCE}s'",
    "SET synchronous_commit = on",
)


def postgresql_database(url: str) -> Database:
    """Return the database at an address; no connection is made yet.

    Raises:
        SettingsError: no address, or the driver is not installed.
    """
    parsed = _parse(url)
    told = URL.create(
        "postgresql",
        username=parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query={name: value for name, value in parsed.query.items() if name not in ("password", "sslpassword")},
    ).render_as_string()
    try:
        text_form, connect = _text_form(), _impatient()
    except ImportError as error:
        raise SettingsError(
            f"the ledger {told} needs the driver psycopg",
            expected="psycopg 3",
            found=str(error),
            hint="Install it with `pip install 'nbprod[postgres]'`",
        ) from error
    given = {name: value for name, value in _DEFAULTS.items() if name not in parsed.query}
    engine = create_engine(
        parsed, connect_args=given, pool_size=_POOL, max_overflow=0, pool_timeout=PATIENCE, pool_use_lifo=True
    )

    def connected(connection: Any, _record: Any) -> None:
        connection.adapters.register_dumper(str, text_form)
        connection.autocommit = True
        for statement in _SESSION:
            connection.execute(statement)
        connection.autocommit = False

    event.listen(engine, "do_connect", lambda _dialect, _record, args, named: connect(*args, **named))
    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", _begin)
    return Database(
        url=told,
        engine=engine,
        from_now=from_now,
        fault=Faults(told),
        search=_holding,
        one_writer=False,
        network=PostgresqlNetwork(),
    )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(
            "the ledger's address cannot be read", expected="postgresql://user@host:port/database"
        ) from error
    if not parsed.database:
        raise SettingsError("the ledger's address names no database", expected="postgresql://user@host:port/database")
    return parsed.set(drivername="postgresql+psycopg")


def _text_form() -> type[Any]:
    from psycopg.types.string import StrDumper  # noqa: PLC0415  the driver may be missing

    class WithoutNul(StrDumper):
        """PostgreSQL's text holds no NUL: in the index, U+FFFD stands for it. An event's JSON has it escaped."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    return WithoutNul


def _impatient() -> Callable[..., Any]:
    """Return what makes connections that count as lost when a reply does not come."""
    import psycopg  # noqa: PLC0415  the driver may be missing

    class Impatient(psycopg.Connection[Any]):
        patient = False

        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **named: Any) -> Any:
            return super().wait(gen if self.patient else self._guarded(gen), *args, **named)

        def _guarded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            deadline = time.monotonic() + REPLY
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if not ready and time.monotonic() > deadline:
                        self.pgconn.finish()
                        raise psycopg.OperationalError(f"no reply for {REPLY} seconds")
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    return Impatient.connect


def _holding(connection: Connection, sought: str) -> Select[Any] | None:
    if len(sought) < _GROUP or connection.execute(text("SELECT to_regclass('runs_by_text')")).scalar() is None:
        return None
    return select(runs.c.run_id).where(runs.c.search.contains(sought, autoescape=True))


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get(READ, False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


class PostgresqlNetwork:
    """What `connections.Network` asks for."""

    patience: float = PATIENCE

    def is_lost(self, error: SQLAlchemyError) -> bool:
        """Say whether the connection is lost, or the server is away, starts or stops."""
        if not isinstance(error, DBAPIError):
            return False
        state = getattr(error.orig, "sqlstate", None)
        if state is None:  # of the driver's own, or of a connection that was never made
            return error.connection_invalidated or Faults.never_connected(error)
        # The server ends or starts; the transaction was the victim of a deadlock or had to wait in vain.
        return state[:2] == "08" or state in ("57P01", "57P02", "57P03", "25P03", "40001", "40P01", "53300", "55P03")

    def ticket(self, connection: Connection) -> str:
        """Return the transaction's number."""
        return str(connection.execute(text("SELECT pg_current_xact_id()::text")).scalar_one())

    def was_committed(self, connection: Connection, ticket: str) -> bool | None:
        """Ask the server's log of commits."""
        query = text("SELECT pg_xact_status(CAST(:ticket AS xid8))")
        status = connection.execute(query, {"ticket": ticket}).scalar()
        return {"committed": True, "aborted": False}.get(str(status))

    def take_turns(self, connection: Connection, what: str) -> None:
        """Take an advisory lock until the transaction's end."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _key(what)})
        if what == "migrate":  # may take as long as it takes
            driver: Any = connection.connection.driver_connection
            driver.patient = True

    def once(self, event: RunStarted | RunFinished, body: str) -> Callable[[Connection], int]:
        """Return what keeps an event by one statement."""
        return Once(event, body).keep

    def last_drawn(self, connection: Connection) -> int:
        """Read the sequence, which is outside all transactions."""
        return int(connection.execute(text("SELECT last_value FROM events_seq_seq")).scalar_one())

    def settle(self, connection: Connection) -> None:
        """Take, for a moment, the lock that writers share (see the trigger `events_are_under_way`)."""
        connection.execute(text("SELECT pg_advisory_xact_lock('events'::regclass::oid::bigint)"))


def _key(what: str) -> int:
    """Return a lock's number, 64 bits, beyond the numbers of tables."""
    number = int.from_bytes(hashlib.sha256(f"nbprod {what}".encode()).digest()[:8], "big", signed=True)
    return number if abs(number) > 2**32 else number + 2**33
