"""Looking after a project's ledger together with the store that it points at."""

from __future__ import annotations

from nbprod.ledger.audit import Audit, audit
from nbprod.project.home import Home

__all__ = ["check"]


def check(home: Home, *, store: bool = True) -> Audit:
    """Compare the ledger's index with its events, and what they name with the store.

    Args:
        home: whose ledger and store.
        store: look into the store, too; not whether the bytes are right, only whether they are there.
    """
    found = audit(home.ledger)
    if store:
        missing = [(digest, by) for digest, by in found.named.items() if not home.store.has(digest)]
        found.faults += [f"{digest}, which {by} names, is not in the store" for digest, by in missing]
    return found
