"""Bytes that wait here while the store they are for cannot be reached."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from nbprod.digest import Digest, digest_file
from nbprod.errors import CallerError, DigestMismatch, NbprodError, NotFound, StoreUnreachable
from nbprod.store.local import LocalStore
from nbprod.store.store import Store

__all__ = ["SPOOL", "Delivery", "Spool", "SpoolingStore", "waiting"]

SPOOL = "spool"
"""The folder's name below the project's home."""

_REST = 30.0
"""Seconds for which a link that failed is left alone: a run puts a dozen objects, and would wait for each."""

T = TypeVar("T")


class Spool(LocalStore):
    """A local store whose objects leave again."""

    def path(self, digest: Digest) -> Path:
        """Return where an object lies."""
        return self._path(digest)

    def release(self, digest: Digest) -> None:
        """Remove an object that has arrived; nothing happens if another process was first."""
        self._path(digest).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of the objects that waited.

    Args:
        delivered: how many the store has now.
        waiting: how many wait still.
        problem: why they wait; None if none does.
    """

    delivered: int
    waiting: int
    problem: StoreUnreachable | None = None


class SpoolingStore:
    """A `Store` that takes bytes also while the link to the remote store is broken, and delivers them later.

    Only a link is waited for: refused keys or a missing bucket are raised, because waiting would not mend them.

    Args:
        remote: where the bytes belong.
        spool: where they wait, on this machine.
        monotonic: seconds, for how long a link is left alone.
    """

    def __init__(self, remote: Store, spool: Spool, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.remote = remote
        self._spool = spool
        self._monotonic = monotonic
        self._resting_until = float("-inf")

    @property
    def url(self) -> str:
        """The remote store's address."""
        return self.remote.url

    def put(self, data: bytes) -> Digest:
        """Keep the bytes (see `Store.put`), here if need be."""
        return self._keep(lambda: self.remote.put(data), lambda: self._spool.put(data))

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's bytes (see `Store.put_file`), here if need be."""
        return self._keep(lambda: self.remote.put_file(path), lambda: self._spool.put_file(path))

    def put_as(self, path: Path, digest: Digest) -> bool:
        """Keep a file's bytes if they have that digest (see `Store.put_as`), here if need be."""
        return self._keep(lambda: self.remote.put_as(path, digest), lambda: self._spool.put_as(path, digest))

    def send(self, path: Path) -> bool:
        """Send a file ahead of the moment when it is put, so that the put finds it there; nothing is kept here.

        Args:
            path: the file; it may change or vanish meanwhile, and then nothing is sent.

        Returns:
            Whether more may be sent: not while the link is broken or the store refuses, which a put will tell.
        """
        if self._resting():
            return False
        try:
            self.remote.put_file(path)
        except (CallerError, NotFound, OSError):  # it changes, or is gone, or may not be read
            return True
        except NbprodError:
            return False
        return True

    def get(self, digest: Digest) -> bytes:
        """Return the bytes, checked (see `Store.get`), wherever they are."""
        return self._find(lambda store: store.get(digest))

    def copy_to(self, digest: Digest, path: Path, *, mode: int = 0o444) -> None:
        """Write the object to a file (see `Store.copy_to`), wherever it is."""
        self._find(lambda store: store.copy_to(digest, path, mode=mode))

    def has(self, digest: Digest) -> bool:
        """Say whether the object is there, or waits here."""
        return self._spool.has(digest) or self.remote.has(digest)

    def size(self, digest: Digest) -> int:
        """Return the object's size in bytes, wherever it is."""
        return self._find(lambda store: store.size(digest))

    def check(self, digest: Digest) -> None:
        """Read the object to its end (see `Store.check`)."""
        self._find(lambda store: store.check(digest))

    def beginning(self, digest: Digest, size: int) -> bytes:
        """Return the object's first bytes (see `Store.beginning`)."""
        return self._find(lambda store: store.beginning(digest, size))

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every object, there or here, in ascending order."""
        for digest, _ in groupby(heapq.merge(self._spool.digests(), self.remote.digests())):
            yield digest

    def written(self, digest: Digest) -> datetime:
        """Return when the object was last put, wherever it is."""
        return self._find(lambda store: store.written(digest))

    def remove(self, digest: Digest, *, unless_after: datetime | None = None) -> bool:
        """Remove an object (see `Store.remove`), there and here: what waits here would come back otherwise."""
        here = self._spool.remove(digest, unless_after=unless_after)
        if not here and self._spool.has(digest):  # put after that moment
            return False
        return self.remote.remove(digest, unless_after=unless_after) or here

    def discard(self, digest: Digest) -> int:
        """Remove what was set aside under that digest, there and here."""
        return self._spool.discard(digest) + self.remote.discard(digest)

    def sweep(self) -> int:
        """Remove what dead writers left, there and here."""
        return self._spool.sweep() + self.remote.sweep()

    def waits(self, digest: Digest) -> bool:
        """Say whether the object waits here: no other machine can read it yet."""
        return self._spool.has(digest)

    def waiting(self) -> int:
        """Return how many objects wait here."""
        return sum(1 for _ in self._spool.digests())

    def quarantined(self) -> tuple[Path, ...]:
        """Return what was found corrupt here and set aside."""
        return self._spool.quarantined()

    def deliver(self) -> Delivery:
        """Hand over what waits, each object checked against its digest before it leaves and by the store.

        Any number of processes may do so at once: the store keeps an object once, whoever brings it.

        Raises:
            DigestMismatch: what waited here is corrupt; it has been set aside, and the rest was delivered.
            StoreUnavailable: the store refuses; nothing is lost.
        """
        delivered, corrupt = 0, None
        for digest in self._spool.digests():
            if self._resting():
                problem = StoreUnreachable(f"the store {self.url} could not be reached a moment ago")
                return Delivery(delivered=delivered, waiting=self.waiting(), problem=problem)
            try:
                if self._deliver(digest):
                    delivered += 1
            except StoreUnreachable as error:
                self._rest()
                return Delivery(delivered=delivered, waiting=self.waiting(), problem=error)
            except DigestMismatch as error:
                corrupt = error
        if corrupt is not None:
            raise corrupt
        return Delivery(delivered=delivered, waiting=self.waiting())

    def _deliver(self, digest: Digest) -> bool:
        """Hand over one object; false if another process was first."""
        path = self._spool.path(digest)
        try:
            if digest_file(path)[0] != digest or self.remote.put_file(path)[0] != digest:
                self._spool.get(digest)  # sets it aside and raises
                return False
        except (NotFound, FileNotFoundError):
            return False
        self._spool.release(digest)
        return True

    def _keep(self, there: Callable[[], T], here: Callable[[], T]) -> T:
        if not self._resting():
            try:
                return there()
            except StoreUnreachable:
                self._rest()
        return here()

    def _find(self, ask: Callable[[Store], T]) -> T:
        try:
            return ask(self._spool)
        except NotFound:  # the usual case; or it was delivered this moment
            return ask(self.remote)

    def _resting(self) -> bool:
        return self._monotonic() < self._resting_until

    def _rest(self) -> None:
        self._resting_until = self._monotonic() + _REST


def waiting(store: Store, digests: Iterable[Digest | None]) -> tuple[Digest, ...]:
    """Return those objects that wait on this machine, so that no other can read them yet; each once."""
    if not isinstance(store, SpoolingStore):
        return ()
    return tuple(digest for digest in dict.fromkeys(digests) if digest is not None and store.waits(digest))
