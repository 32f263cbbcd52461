"""A run's start and its verdict, each as one statement of PostgreSQL that is a transaction by itself (decision 0014).

Step by step, as for SQLite, each would take seven to ten statements, and as many journeys to the server and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import ColumnElement

from nbprod.digest import Json, canonical
from nbprod.ledger.connections import Undecided
from nbprod.ledger.errors import AlreadyFinished, AlreadyStarted, AlreadyUnderWay, Fenced
from nbprod.ledger.events import RunFinished, RunStarted
from nbprod.ledger.index import fold, no_such_run, reason_search_text
from nbprod.ledger.moment import moment_text
from nbprod.ledger.rows import to_columns, value_columns
from nbprod.ledger.tables import events, runs
from nbprod.ledger.under_way import under_way
from nbprod.ledger.use_index import use_columns
from nbprod.record.ids import RunId
from nbprod.record.status import Status

__all__ = ["Once", "from_now"]

_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_LEASE = f"to_char(timezone('UTC', clock_timestamp() + make_interval(secs => %(lease_seconds)s)), '{_FORMAT}')"

_BY_ITSELF = ("lease_until", "cancel_requested", "fence")
_COLUMNS = tuple(column.name for column in runs.columns if column.name not in _BY_ITSELF)

_STARTED = f"""
WITH e AS (
    INSERT INTO events (run_id, kind, at, body) VALUES (%(run_id)s, 'RunStarted', %(at)s, %(body)s)
    ON CONFLICT (run_id) WHERE kind = 'RunStarted' DO NOTHING RETURNING seq
), r AS (
    INSERT INTO runs ({", ".join(_COLUMNS)}, lease_until)
    SELECT {", ".join(f"%({name})s" for name in _COLUMNS)}, {_LEASE} FROM e
    RETURNING run_id
), v AS (
    INSERT INTO run_values (run_id, kind, name, num, text)
    SELECT r.run_id, 'parameter', u.name, u.num, u.text
    FROM r, unnest(%(names)s::text[], %(nums)s::float8[], %(texts)s::text[]) AS u (name, num, text)
), t AS (
    INSERT INTO run_tags (run_id, tag) SELECT r.run_id, u.tag FROM r, unnest(%(tags)s::text[]) AS u (tag)
)
SELECT seq FROM e
"""  # noqa: S608 - the columns' names are ours

_FINISHED = """
WITH open AS (
    SELECT run_id FROM runs WHERE run_id = %(run_id)s AND status IS NULL AND fence = %(fence)s FOR UPDATE
), e AS (
    INSERT INTO events (run_id, kind, at, body) SELECT run_id, 'RunFinished', %(at)s, %(body)s FROM open
    ON CONFLICT (run_id) WHERE kind = 'RunFinished' DO NOTHING RETURNING seq
), r AS (
    UPDATE runs SET status = %(status)s, reason = %(reason)s, finished = %(at)s, seconds = %(seconds)s,
        record = %(record)s, notebook_digest = %(notebook)s, scraps = %(scraps)s, of_run = %(of)s, lease_until = NULL,
        search = search || %(search)s
    FROM e WHERE runs.run_id = %(run_id)s
), v AS (
    INSERT INTO run_values (run_id, kind, name, num, text)
    SELECT %(run_id)s, 'scrap', u.name, u.num, u.text
    FROM e, unnest(%(names)s::text[], %(nums)s::float8[], %(texts)s::text[]) AS u (name, num, text)
), b AS (
    INSERT INTO run_uses (run_id, role, digest, name, of_run)
    SELECT %(run_id)s, u.role, u.digest, u.name, u.of_run
    FROM e, unnest(
        %(use_role)s::text[], %(use_digest)s::text[], %(use_name)s::text[], %(use_of_run)s::text[]
    ) AS u (role, digest, name, of_run)
)
SELECT seq FROM e
"""

_ONE_SHARED = "runs_one_shared"


@dataclass(slots=True)
class Once:
    """One event to be kept once, however often it has to be tried.

    Args:
        event: which.
        body: its stored form.
    """

    event: RunStarted | RunFinished
    body: str
    _statement: str = field(init=False)
    _values: dict[str, Any] = field(init=False)
    _tried: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Make the statement's values outside the transaction."""
        event = self.event
        about = {"run_id": event.run_id.text, "at": moment_text(event.at), "body": self.body}
        if isinstance(event, RunStarted):
            row = fold(None, event)
            values = to_columns(row) | {"tags": list(row.tags), "lease_seconds": float(event.lease_seconds)}
            self._statement = _STARTED
            self._values = about | values | _indexed(event.run_id, "parameter", event.parameters)
        else:
            self._statement = _FINISHED
            self._values = about | _verdict(event) | _indexed(event.run_id, "scrap", event.scraps) | _used(event)

    def keep(self, connection: Connection) -> int:
        """Keep the event; return its number. The connection commits each statement.

        Raises:
            Undecided: to be tried again.
        """
        again, self._tried = self._tried, True
        try:
            seq = connection.exec_driver_sql(self._statement, self._values).scalar_one_or_none()
        except SQLAlchemyError as error:
            if not _is_shared_twice(error):
                raise
            raise self._under_way(connection) from error
        return int(seq) if seq is not None else self._kept_before(connection, again=again)

    def _kept_before(self, connection: Connection, *, again: bool) -> int:
        """Say why nothing was written: by our own attempt whose reply was lost, or by somebody else."""
        event = self.event
        same = (events.c.run_id == event.run_id.text, events.c.kind == type(event).__name__)
        found = connection.execute(select(events.c.seq, events.c.body).where(*same)).first()
        if found is not None and again and found.body == self.body:
            return int(found.seq)
        if isinstance(event, RunStarted):
            if found is None:
                raise Undecided
            raise AlreadyStarted(event.run_id)
        row = connection.execute(select(runs.c.status, runs.c.fence).where(runs.c.run_id == event.run_id.text)).first()
        if row is None:
            raise no_such_run(event.run_id)
        if row.status is None:
            raise Fenced(event.run_id) if row.fence != event.fence else Undecided
        raise AlreadyFinished(event.run_id, Status(row.status))

    def _under_way(self, connection: Connection) -> AlreadyUnderWay | Undecided:
        assert isinstance(self.event, RunStarted)  # noqa: S101 - only a start is shared
        return under_way(connection, self.event.request_digest, from_now(0)) or Undecided()


def from_now(seconds: float) -> ColumnElement[str]:
    """Return the server's time so many seconds from now, as `moment_text` writes it."""
    moment = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, float(seconds))
    return func.to_char(func.timezone("UTC", moment), _FORMAT)


def _verdict(event: RunFinished) -> dict[str, Any]:
    return {
        "status": str(event.status),
        "reason": event.reason,
        "seconds": event.seconds,
        "record": str(event.record),
        "notebook": None if event.notebook is None else str(event.notebook),
        "scraps": canonical(event.scraps).decode(),
        "of": None if event.of is None else event.of.text,
        "search": reason_search_text(event.reason),
        "fence": event.fence,
    }


def _indexed(run_id: RunId, kind: str, values: Mapping[str, Json]) -> dict[str, list[Any]]:
    rows = [value_columns(run_id, kind, name, value) for name, value in values.items()]
    return {to: [row[key] for row in rows] for to, key in (("names", "name"), ("nums", "num"), ("texts", "text"))}


def _used(event: RunFinished) -> dict[str, list[Any]]:
    rows = use_columns(event.run_id, event.uses)
    return {f"use_{key}": [row[key] for row in rows] for key in ("role", "digest", "name", "of_run")}


def _is_shared_twice(error: SQLAlchemyError) -> bool:
    diagnosis = getattr(getattr(error, "orig", None), "diag", None)
    return getattr(diagnosis, "constraint_name", None) == _ONE_SHARED
