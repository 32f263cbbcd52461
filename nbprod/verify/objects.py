"""Reading objects of the store to their end and hashing them, each once, and large ones side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nbprod.digest import Digest
from nbprod.errors import DigestMismatch, IntegrityError, NotFound, ObjectUnreadable
from nbprod.store import Store
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.stored import lost

__all__ = ["BYTES", "STEP", "Object", "Objects"]

STEP = 3
BYTES = "bytes"
_LARGE = 1 << 18
"""Bytes from which on a thread of its own pays: hashing lets others go on."""
_THREADS = min(os.cpu_count() or 1, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object of the store that a record names.

    Args:
        what: for people.
        digest: of its bytes.
        size: in bytes; None where the record does not say.
    """

    what: str
    digest: Digest
    size: int | None = None


class Objects:
    """Reads objects; what was found whole is not read again, as many runs share their notebook.

    Args:
        store: has them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: dict[str, int] = {}

    def has(self, digest: Digest) -> bool:
        """Say whether an object is there."""
        return self._store.has(digest)

    def get(self, digest: Digest, most: int | None = None) -> bytes | None:
        """Return an object's bytes; None where it is not there, not readable or not what it was, which `read` tells.

        Args:
            digest: which.
            most: how many bytes it has by what names it: one of more is not read; None: that does not say.

        Raises:
            IntegrityError: they are too many to be read at once.
        """
        try:
            if most is not None and self._store.size(digest) > most:
                return None
            data = self._store.get(digest)
        except (NotFound, DigestMismatch, ObjectUnreadable):
            return None
        self._sizes[digest.hex] = len(data)
        return data

    def read(self, wanted: Sequence[Object]) -> list[tuple[Object, Check]]:
        """Read objects; return those with which something is wrong, in their order, and what it is."""
        large = [each for each in wanted if (each.size or 0) >= _LARGE and each.digest.hex not in self._sizes]
        if _THREADS == 1 or len(large) < 2:  # noqa: PLR2004 - two of them
            return [(each, fault) for each in wanted for fault in self._read(each)]
        large.sort(key=lambda each: -(each.size or 0))  # the last one to end is a small one
        with ThreadPoolExecutor(min(_THREADS, len(large))) as pool:
            found = dict(zip(large, pool.map(self._read, large), strict=True))
        return [(each, fault) for each in wanted for fault in found.get(each) or self._read(each)]

    def _read(self, each: Object) -> list[Check]:
        try:
            size = self._sizes.get(each.digest.hex)
            if size is None:
                size = self._store.size(each.digest)
                if each.size is None or size <= each.size:  # else that is enough: it may be endless
                    self._store.check(each.digest)
                    self._sizes[each.digest.hex] = size
        except ObjectUnreadable as error:
            return [Check.open(STEP, BYTES, f"{each.what} cannot be read: {error.found}")]
        except NotFound:
            return [lost(STEP, BYTES, self._store, each.digest, each.what)]
        except IntegrityError as error:
            return [Check.failed(STEP, BYTES, f"{each.what}: {error.what}", Conclusion.ALTERED)]
        if each.size not in (None, size):
            told = f"{each.what} has {size} bytes, and the record says {each.size}"
            return [Check.failed(STEP, BYTES, told, Conclusion.ALTERED)]
        return []
