"""Small objects of a kind, found among many big ones without reading those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import DigestMismatch, NotFound
from nbprod.store.store import Store

__all__ = ["LARGEST", "Look", "objects_beginning"]

_GLIMPSE = 1 << 16
"""Bytes read of each object: most records are not longer, and to a far store a request costs more than this does."""

LARGEST = 16 << 20
"""Bytes above which an object is not read whole, however it begins."""

_READERS = 8
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Look:
    """What became of one object.

    Args:
        digest: which.
        data: all its bytes, if it is of the kind.
        fault: what is wrong with it; None if nothing is.
    """

    digest: Digest
    data: bytes | None = None
    fault: str | None = None


def objects_beginning(
    store: Store, prefix: bytes | tuple[bytes, ...], looked: Callable[[], None] = lambda: None
) -> Iterator[Look]:
    """Yield the objects that begin so, whole and checked, and those small ones that are corrupt, by ascending digest.

    Of each object at most 64 KiB are read, and all of those of the kind that have at most 16 MiB. Bigger objects are
    not checked.

    Args:
        store: where to look; a corrupt object is set aside there, as by `Store.get`.
        prefix: how the objects begin; one of several, where it is a tuple.
        looked: hears of each object that was looked at.

    Raises:
        StoreUnavailable: the store could not be read.
    """
    with ThreadPoolExecutor(_READERS, thread_name_prefix="nbprod-look") as readers:
        digests = store.digests()
        while batch := list(islice(digests, _BATCH)):
            for look in readers.map(lambda digest: _look(store, digest, prefix), batch):
                looked()
                if look.data is not None or look.fault is not None:
                    yield look


def _look(store: Store, digest: Digest, prefix: bytes | tuple[bytes, ...]) -> Look:
    try:
        glimpse = store.beginning(digest, _GLIMPSE)
        whole = len(glimpse) < _GLIMPSE
        if whole and digest_bytes(glimpse) == digest:
            return Look(digest, glimpse if glimpse.startswith(prefix) else None)
        if not whole and not glimpse.startswith(prefix):
            return Look(digest)
        size = store.size(digest)
        if size > LARGEST:
            return Look(digest, fault=f"{digest} has {size} bytes: too many to be read whole")
        data = store.get(digest)
        return Look(digest, data if data.startswith(prefix) else None)
    except DigestMismatch as error:
        return Look(digest, fault=str(error))
    except NotFound:  # removed, or set aside by another reader
        return Look(digest)
