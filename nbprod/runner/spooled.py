"""What the ledger says of a run whose bytes wait on the machine that ran it."""

from __future__ import annotations

from datetime import datetime

from nbprod.ledger import Ledger
from nbprod.ledger.events import RunHeard
from nbprod.record.ids import RunId

__all__ = ["bytes_wait", "where_bytes_wait"]

_WAIT = "bytes wait"


def bytes_wait(at: datetime, run_id: RunId, host: str, objects: int) -> RunHeard:
    """Make the event that says so.

    Args:
        at: aware, UTC.
        run_id: the run.
        host: in whose spool they wait.
        objects: how many do.
    """
    return RunHeard(at=at, run_id=run_id, what=_WAIT, data={"host": host, "objects": objects})


def where_bytes_wait(ledger: Ledger, run_id: RunId) -> str | None:
    """Return the host in whose spool the run's bytes were left; None if they went to the store at once."""
    hosts = [
        heard.event.data["host"]
        for heard in ledger.events(run_id)
        if isinstance(heard.event, RunHeard) and heard.event.what == _WAIT and isinstance(heard.event.data, dict)
    ]
    return str(hosts[-1]) if hosts else None
