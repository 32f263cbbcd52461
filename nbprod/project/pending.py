"""What runs under way may be about to name: bytes that they have put, and that no event names yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from nbprod.ledger import RunRow
from nbprod.store.store import FRESH

__all__ = ["PREPARING", "put_before"]

PREPARING = timedelta(hours=1)
"""Time that a run may have put bytes for before its start stands in the ledger."""


def put_before(rows: Iterable[RunRow]) -> datetime | None:
    """Return the moment before which an object must have been put so that no run under way relies on it; aware, UTC.

    What was there by then, and fresh, kept its time at a put.

    Args:
        rows: the runs under way; the earliest is enough.

    Returns:
        None where no run is under way.
    """
    return min((row.started - FRESH - PREPARING for row in rows), default=None)
