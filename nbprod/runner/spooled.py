"""What the ledger says of a run whose bytes wait on the machine that ran it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from nbprod.ledger import Ledger, StoredEvent
from nbprod.ledger.events import RunHeard
from nbprod.record.ids import RunId

__all__ = ["bytes_wait", "where_bytes_wait", "where_waiting"]

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
    return where_waiting(ledger.events(run_id))


def where_waiting(events: Iterable[StoredEvent]) -> str | None:
    """Return what `where_bytes_wait` does, of a run whose events are at hand."""
    hosts = [
        heard.event.data.get("host")
        for heard in events
        if isinstance(heard.event, RunHeard) and heard.event.what == _WAIT and isinstance(heard.event.data, dict)
    ]
    return str(hosts[-1]) if hosts else None
