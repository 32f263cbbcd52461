"""Who runs already what is asked for: of the shared runs of one request, one is under way at any moment."""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.sql.elements import ColumnElement

from nbprod.digest import Digest
from nbprod.ledger.errors import AlreadyUnderWay
from nbprod.ledger.tables import runs
from nbprod.record.ids import RunId

__all__ = ["under_way"]


def under_way(connection: Connection, request: Digest, now: ColumnElement[str]) -> AlreadyUnderWay | None:
    """Return the refusal to share a request that another shared run is under way for; None where there is none.

    Args:
        connection: to the database.
        request: the request's digest.
        now: the database's time, as `moment_text` writes it.
    """
    lapsed = (runs.c.lease_until < now).label("lapsed")
    same = (runs.c.request_digest == str(request), runs.c.shared == 1, runs.c.status.is_(None))
    found = connection.execute(select(runs.c.run_id, lapsed).where(*same)).first()
    return None if found is None else AlreadyUnderWay(RunId(found.run_id), lapsed=bool(found.lapsed))
