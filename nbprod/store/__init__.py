"""Content-addressed bytes: one behaviour, several places to keep them."""

from __future__ import annotations

from nbprod.store.address import open_store
from nbprod.store.local import LocalStore
from nbprod.store.memory import MemoryStore
from nbprod.store.store import Store

__all__ = ["LocalStore", "MemoryStore", "Store", "open_store"]
