"""Content-addressed bytes: one behaviour, several places to keep them."""

from __future__ import annotations

from nbprod.store.address import open_store
from nbprod.store.beginnings import objects_beginning
from nbprod.store.local import LocalStore
from nbprod.store.memory import MemoryStore
from nbprod.store.remote import RemoteStore
from nbprod.store.spool import SPOOL, Delivery, SpoolingStore, waiting
from nbprod.store.store import Store

__all__ = [
    "SPOOL",
    "Delivery",
    "LocalStore",
    "MemoryStore",
    "RemoteStore",
    "SpoolingStore",
    "Store",
    "objects_beginning",
    "open_store",
    "waiting",
]
