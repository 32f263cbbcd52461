"""A store in memory: the honest fake that the behaviour suite holds to the same promises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import DigestMismatch, NotFound
from nbprod.store.files import whole_file, write
from nbprod.store.source import read_at_rest
from nbprod.store.store import FRESH

__all__ = ["MemoryStore"]


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """A `Store` that lives as long as the object does. Its URL opens a new, empty one.

    Args:
        clock: the time of puts; aware.
    """

    def __init__(self, *, clock: Callable[[], datetime] = _now) -> None:
        self.quarantine: list[tuple[Digest, bytes]] = []
        """What was found corrupt: the digest it was kept under, and the bytes."""
        self._objects: dict[Digest, bytes] = {}
        self._written: dict[Digest, datetime] = {}
        self._clock = clock
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """`memory://`, which reaches no other store's bytes."""
        return "memory://"

    def put(self, data: bytes) -> Digest:
        """Keep the bytes (see `Store.put`)."""
        digest = digest_bytes(data)
        with self._lock:
            present = digest in self._objects
            if not present:
                self._objects[digest] = bytes(data)
            self._renew(digest)
        if present:
            self.get(digest)
        return digest

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's bytes (see `Store.put_file`)."""
        return read_at_rest(path, self._put_stream)

    def put_as(self, path: Path, digest: Digest) -> bool:
        """Keep a file's bytes if they have that digest (see `Store.put_as`)."""
        with self._lock:
            if digest in self._objects:
                self._renew(digest)
                return True
        data = read_at_rest(path, b"".join)
        return digest_bytes(data) == digest == self.put(data)

    def get(self, digest: Digest) -> bytes:
        """Return the bytes, checked (see `Store.get`)."""
        with self._lock:
            data = self._objects.get(digest)
            if data is None:
                raise NotFound(f"the store in memory has no object {digest}")
            found = digest_bytes(data)
            if found != digest:
                self.quarantine.append((digest, self._objects.pop(digest)))
                raise DigestMismatch(
                    f"the object {digest} in the store in memory is corrupt",
                    expected="bytes with that digest",
                    found=f"{len(data)} bytes with {found}",
                    hint="The bytes were set aside",
                )
            return data

    def copy_to(self, digest: Digest, path: Path, *, mode: int = 0o444) -> None:
        """Write the object to a file (see `Store.copy_to`)."""
        data = self.get(digest)
        with whole_file(path, mode) as target:
            write(target, data)

    def has(self, digest: Digest) -> bool:
        """Say whether the object is there."""
        return digest in self._objects

    def size(self, digest: Digest) -> int:
        """Return the object's size in bytes."""
        with self._lock:
            if digest not in self._objects:
                raise NotFound(f"the store in memory has no object {digest}")
            return len(self._objects[digest])

    def check(self, digest: Digest) -> None:
        """Read the object to its end (see `Store.check`)."""
        self.get(digest)

    def beginning(self, digest: Digest, size: int) -> bytes:
        """Return the object's first bytes (see `Store.beginning`)."""
        with self._lock:
            if digest not in self._objects:
                raise NotFound(f"the store in memory has no object {digest}")
            return self._objects[digest][:size]

    def digests(self) -> Iterator[Digest]:
        """Yield every object's digest in ascending order."""
        with self._lock:
            present = sorted(self._objects)
        yield from present

    def written(self, digest: Digest) -> datetime:
        """Return when the object was last put (see `Store.written`)."""
        with self._lock:
            if digest not in self._objects:
                raise NotFound(f"the store in memory has no object {digest}")
            return self._written[digest]

    def remove(self, digest: Digest, *, unless_after: datetime | None = None) -> bool:
        """Remove an object (see `Store.remove`)."""
        with self._lock:
            if digest not in self._objects or (unless_after is not None and self._written[digest] > unless_after):
                return False
            del self._objects[digest], self._written[digest]
            return True

    def discard(self, digest: Digest) -> int:
        """Remove what was set aside under that digest (see `Store.discard`)."""
        with self._lock:
            rest = [each for each in self.quarantine if each[0] != digest]
            count = len(self.quarantine) - len(rest)
            self.quarantine[:] = rest
            return count

    def sweep(self) -> int:
        """Return 0: there are no temporary files."""
        return 0

    def _renew(self, digest: Digest) -> None:
        now = self._clock().astimezone(UTC)
        if digest not in self._written or self._written[digest] < now - FRESH:
            self._written[digest] = now

    def _put_stream(self, source: Iterator[bytes]) -> tuple[Digest, int]:
        data = b"".join(source)
        return self.put(data), len(data)
