"""Objects of the store that should be there."""

from __future__ import annotations

from nbprod.bundle.views import BundleStore
from nbprod.digest import Digest
from nbprod.store import LocalStore, MemoryStore, RemoteStore, SpoolingStore, Store
from nbprod.verify.outcome import Check, Conclusion

__all__ = ["lost"]


def lost(step: int, name: str, store: Store, digest: Digest, what: str) -> Check:
    """Make the check for an object that is not there: missing, or set aside because it was corrupt."""
    if _set_aside(store, digest):
        told = f"{what} was corrupt and was set aside ({digest.short})"
        return Check.failed(step, name, told, Conclusion.ALTERED)
    where = "bundle" if isinstance(store, BundleStore) else "store"
    return Check.failed(step, name, f"{what} is not in the {where} ({digest.short})", Conclusion.INCOMPLETE)


def _set_aside(store: Store, digest: Digest) -> bool:
    if isinstance(store, SpoolingStore):
        return _set_aside(store.remote, digest) or any(digest.hex in path.name for path in store.quarantined())
    if isinstance(store, LocalStore):
        return any(digest.hex in path.name for path in store.quarantined())
    if isinstance(store, RemoteStore):
        return any(digest.hex in key for key in store.quarantined())
    return isinstance(store, MemoryStore) and any(found == digest for found, _ in store.quarantine)
