"""Leases and fencing tokens as columns: by the database's clock, and each in the transaction that it is asked in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.sql.elements import ColumnElement

from nbprod.ledger.errors import Fenced
from nbprod.ledger.index import no_such_run
from nbprod.ledger.tables import runs
from nbprod.record.ids import RunId

__all__ = ["prolong", "refuse_fenced", "take_over"]

_FromNow = Callable[[float], ColumnElement[str]]


def prolong(connection: Connection, run_id: RunId, lease_seconds: float, fence: int, from_now: _FromNow) -> bool:
    """Prolong a lease (see `Ledger.renew`)."""
    row = _locked(connection, run_id, from_now)
    if row.status is not None or row.fence != fence:
        return False
    _set(connection, run_id, lease_until=from_now(lease_seconds))
    return True


def take_over(
    connection: Connection, run_id: RunId, lease_seconds: float, from_now: _FromNow, *, lapsed: bool
) -> int | None:
    """Take over a run (see `Ledger.take_over`)."""
    row = _locked(connection, run_id, from_now)
    if row.status is not None or (lapsed and not row.lapsed):
        return None
    _set(connection, run_id, lease_until=from_now(lease_seconds), fence=row.fence + 1)
    return int(row.fence) + 1


def refuse_fenced(connection: Connection, run_id: RunId, fence: int) -> None:
    """Refuse to end a run with a token that is not the present one.

    Raises:
        Fenced: somebody has taken it over.
    """
    if connection.execute(select(runs.c.fence).where(runs.c.run_id == run_id.text)).scalar_one() != fence:
        raise Fenced(run_id)


def _locked(connection: Connection, run_id: RunId, from_now: _FromNow) -> Any:
    lapsed = (runs.c.lease_until < from_now(0)).label("lapsed")
    query = select(runs.c.status, runs.c.fence, lapsed).where(runs.c.run_id == run_id.text).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise no_such_run(run_id)
    return row


def _set(connection: Connection, run_id: RunId, **values: Any) -> None:
    connection.execute(update(runs).where(runs.c.run_id == run_id.text).values(**values))
