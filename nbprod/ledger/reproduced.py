"""Which runs were executed again, as the ledger tells."""

from __future__ import annotations

from nbprod.ledger.events import RunReproduced
from nbprod.ledger.ledger import Ledger
from nbprod.record.ids import RunId

__all__ = ["reproductions"]


def reproductions(ledger: Ledger, run_id: RunId) -> tuple[RunReproduced, ...]:
    """Return what is told of a run's being executed again: of a first run, and of a second one."""
    return tuple(each.event for each in ledger.events(run_id) if isinstance(each.event, RunReproduced))
