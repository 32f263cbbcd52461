"""What every store does, whatever keeps its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from nbprod.digest import Digest

__all__ = ["FRESH", "STALE", "Store"]

FRESH = timedelta(hours=6)
"""Age up to which a put leaves the time of what is there alone; far below any age at which bytes are removed."""

STALE = timedelta(days=1)
"""Age after its last write at which a temporary file is taken for one whose writer died."""


class Store(Protocol):
    """Bytes under their SHA-256 digest, written once and never changed.

    One object serves many threads, and many processes may share what it stands for. Once a put has returned, the
    bytes survive a crash of process or machine (law 3 leans on this).
    Everything that leaves is hashed again first; bytes that do not match are set aside and raised, never repaired
    silently.
    """

    @property
    def url(self) -> str:
        """The address that `open_store` takes to reach the same bytes."""
        ...

    def put(self, data: bytes) -> Digest:
        """Keep the bytes and return their digest; keeping the same bytes again changes nothing but their time.

        Raises:
            DigestMismatch: what stood under that digest was corrupt; it has been set aside, put again.
            StoreUnavailable: the bytes could not be written.
        """
        ...

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's bytes, in flat memory; return their digest and size in bytes.

        The digest is always that of the bytes kept. A file that changes meanwhile (size, time of change, identity) is
        read again, and refused if it doesn't come to rest.

        Raises:
            CallerError: not a regular file, not readable, or changing all the time.
            NotFound: there is no such file.
            DigestMismatch: as for `put`.
            StoreUnavailable: as for `put`.
        """
        ...

    def put_as(self, path: Path, digest: Digest) -> bool:
        """Keep a file's bytes if they have that digest, and nothing else of it.

        Where the store has them already, its word is taken: the file is not read, and the object not hashed again.

        Returns:
            Whether the store has them now; False where the file has other bytes.

        Raises:
            CallerError, NotFound: as for `put_file`.
            StoreUnavailable: as for `put`.
        """
        ...

    def get(self, digest: Digest) -> bytes:
        """Return the bytes, checked against their digest.

        Raises:
            NotFound: the store has no such object.
            DigestMismatch: the object is corrupt; it has been set aside.
            StoreUnavailable: the store could not be read.
        """
        ...

    def copy_to(self, digest: Digest, path: Path, *, mode: int = 0o444) -> None:
        """Write the object to a file, in flat memory; the file appears under its name only whole and checked.

        Args:
            digest: the object.
            path: the file to make or replace; its folder must exist.
            mode: the file's permission bits.

        Raises:
            NotFound: the store has no such object.
            DigestMismatch: the object is corrupt; it has been set aside, and `path` is as it was.
            StoreUnavailable: the store could not be read.
            CallerError: `path` could not be written.
        """
        ...

    def has(self, digest: Digest) -> bool:
        """Say whether the object is there, without reading it."""
        ...

    def size(self, digest: Digest) -> int:
        """Return the object's size in bytes, without reading it.

        Raises:
            NotFound: the store has no such object.
        """
        ...

    def check(self, digest: Digest) -> None:
        """Read the object to its end, in flat memory, and compare it with its digest.

        Raises:
            NotFound: the store has no such object.
            DigestMismatch: the object is corrupt; it has been set aside.
            StoreUnavailable: the store could not be read.
        """
        ...

    def beginning(self, digest: Digest, size: int) -> bytes:
        """Return the first bytes of an object, unchecked: to tell what kind of object it may be.

        Args:
            digest: the object.
            size: how many bytes; all, where there are fewer.

        Raises:
            NotFound: the store has no such object.
            StoreUnavailable: the store could not be read.
        """
        ...

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every object, in ascending order."""
        ...

    def written(self, digest: Digest) -> datetime:
        """Return when the object was last put, by the clock of what keeps it; aware, UTC.

        A put that finds the object there renews its time if that is older than `FRESH`.

        Raises:
            NotFound: the store has no such object.
            StoreUnavailable: what keeps it tells no times.
        """
        ...

    def remove(self, digest: Digest, *, unless_after: datetime | None = None) -> bool:
        """Remove an object.

        Args:
            digest: the object.
            unless_after: leave it there if it was put after this moment; aware. A local store and one in memory look
                and remove in one step, which no put can come between; elsewhere one request lies between.

        Returns:
            Whether it was removed; False also where there is none.

        Raises:
            StoreUnavailable: it could not be removed, or its time is wanted and not told.
        """
        ...

    def discard(self, digest: Digest) -> int:
        """Remove what was set aside as corrupt under that digest, and the notes about it; return how many objects.

        Raises:
            StoreUnavailable: it could not be removed.
        """
        ...

    def sweep(self) -> int:
        """Remove temporary files that dead writers left more than a day ago (`STALE`); return how many."""
        ...
