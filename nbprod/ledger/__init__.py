"""The append-only list of events, and the index to query runs."""

from __future__ import annotations

from nbprod.ledger.address import open_ledger
from nbprod.ledger.ledger import Dossier, Ledger, StoredEvent
from nbprod.ledger.query import Condition, Order, RunQuery, RunRow, parse_condition

__all__ = [
    "Condition",
    "Dossier",
    "Ledger",
    "Order",
    "RunQuery",
    "RunRow",
    "StoredEvent",
    "open_ledger",
    "parse_condition",
]
