"""A store on another machine, behind a link that may break.

Layout: `objects/ab/cdef…` (an object, named by its digest), `quarantine/` (objects found corrupt, each with a JSON
note).

An object appears under its name whole or not at all, and `put` returns once its holder has vouched for the bytes'
SHA-256, or once they have been read back. Decided in docs/decisions/0012-object-storage.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

from nbprod.digest import Digest
from nbprod.errors import CallerError, DigestMismatch, NotFound, StoreUnavailable, StoreUnreachable
from nbprod.store.content import PART, ChangedError, Content, in_parts, part_size
from nbprod.store.driver import Driver, Found
from nbprod.store.files import whole_file, write
from nbprod.store.source import read_at_rest
from nbprod.store.store import FRESH, STALE

__all__ = ["RemoteStore"]

_OBJECTS = "objects"
_TEMPORARY = "tmp"
_QUARANTINE = "quarantine"
_ATTEMPTS = 3
_READINGS = 4
"""Equal readings after which bytes count as corrupt although their holder vouched for other ones."""

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class RemoteStore:
    """A `Store` behind a driver, shared by any number of threads, processes and machines.

    Args:
        driver: reaches the objects.
        part: bytes sent or read in one request.
        clock: the time for notes; aware.
    """

    def __init__(self, driver: Driver, *, part: int = PART, clock: Callable[[], datetime] = _now) -> None:
        self._driver = driver
        self._part = part
        self._clock = clock

    @property
    def url(self) -> str:
        """The address, without credentials."""
        return self._driver.url

    def put(self, data: bytes) -> Digest:
        """Keep the bytes (see `Store.put`)."""
        part = part_size(len(data), self._part)
        content = Content.of([data], part)
        held = self._held(content)
        if not self._fresh(held):
            self._send(content, part, held is not None, iter([data]))
        return content.digest

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's bytes (see `Store.put_file`).

        The file is read twice: its digest must be known before a byte is sent, and each part is compared on its way.
        """
        for _ in range(_ATTEMPTS):
            part = part_size(path.stat().st_size if path.is_file() else 0, self._part)
            content = read_at_rest(path, partial(Content.of, part=part))
            held = self._held(content)
            if self._fresh(held):
                return content.digest, content.size
            try:
                read_at_rest(path, partial(self._send, content, part, held is not None))
            except ChangedError:
                continue
            return content.digest, content.size
        raise CallerError(
            f"{path} changes while it is being read",
            expected="a file that nobody writes to any more",
            found=f"other bytes on the way out than before, {_ATTEMPTS} times",
            hint="End the process that writes it, then try again",
        )

    def put_as(self, path: Path, digest: Digest) -> bool:
        """Keep a file's bytes if they have that digest (see `Store.put_as`)."""
        if self._fresh(self._driver.stat(_key(digest))):
            return True
        part = part_size(path.stat().st_size if path.is_file() else 0, self._part)
        content = read_at_rest(path, partial(Content.of, part=part))
        if content.digest != digest:
            return False
        held = self._held(content)
        try:
            read_at_rest(path, partial(self._send, content, part, held is not None))
        except ChangedError:
            return False
        return True

    def get(self, digest: Digest) -> bytes:
        """Return the bytes, checked (see `Store.get`)."""
        return self._read(digest, b"".join)

    def copy_to(self, digest: Digest, path: Path, *, mode: int = 0o444) -> None:
        """Write the object to a file (see `Store.copy_to`)."""
        with whole_file(path, mode) as target:
            self._read(digest, partial(_rewrite, target))

    def has(self, digest: Digest) -> bool:
        """Say whether the object is there."""
        return self._driver.stat(_key(digest)) is not None

    def size(self, digest: Digest) -> int:
        """Return the object's size in bytes."""
        return self._stat(digest).size

    def check(self, digest: Digest) -> None:
        """Read the object to its end (see `Store.check`)."""
        self._read(digest, _drain)

    def beginning(self, digest: Digest, size: int) -> bytes:
        """Return the object's first bytes (see `Store.beginning`)."""
        try:
            return self._driver.read(_key(digest), 0, size)
        except FileNotFoundError as error:
            raise self._missing(digest) from error

    def digests(self) -> Iterator[Digest]:
        """Yield every object's digest in ascending order; one page of names in memory at a time."""
        for key in self._driver.keys(_OBJECTS):
            shard, _, rest = key.partition("/")
            try:
                digest = Digest(shard + rest)
            except CallerError:  # not ours
                continue
            if _key(digest) == f"{_OBJECTS}/{key}":
                yield digest

    def written(self, digest: Digest) -> datetime:
        """Return when the object was last put (see `Store.written`)."""
        return self._told(self._stat(digest))

    def remove(self, digest: Digest, *, unless_after: datetime | None = None) -> bool:
        """Remove an object (see `Store.remove`)."""
        held = self._driver.stat(_key(digest))
        if held is None or (unless_after is not None and self._told(held) > unless_after):
            return False
        self._driver.remove(_key(digest), held.mark)
        return True

    def discard(self, digest: Digest) -> int:
        """Remove what was set aside under that digest (see `Store.discard`)."""
        count = 0
        for name in self._driver.keys(_QUARANTINE):
            key = f"{_QUARANTINE}/{name}"
            if name.startswith(f"{digest.hex}.") and (held := self._driver.stat(key)) is not None:
                self._driver.remove(key, held.mark)
                count += not name.endswith(".json")
        return count

    def sweep(self) -> int:
        """Remove what dead writers left (see `Store.sweep`); parts of unfinished uploads are the bucket's matter."""
        swept = 0
        for name in self._driver.keys(_TEMPORARY):
            held = self._driver.stat(f"{_TEMPORARY}/{name}")
            if held is not None and held.written is not None and held.written < self._clock() - STALE:
                self._driver.remove(f"{_TEMPORARY}/{name}", held.mark)
                swept += 1
        return swept

    def _told(self, held: Found) -> datetime:
        if held.written is None:
            raise StoreUnavailable(
                f"the store {self.url} tells no times",
                expected="a driver that says when an object was written",
                found="one that does not",
                hint="Without them nothing can be removed for its age",
            )
        return held.written

    def quarantined(self) -> tuple[str, ...]:
        """Return the keys of what was found corrupt and set aside, each beside its JSON note."""
        return tuple(f"{_QUARANTINE}/{name}" for name in self._driver.keys(_QUARANTINE) if not name.endswith(".json"))

    # --- the way in ---

    def _fresh(self, held: Found | None) -> bool:
        """Say whether the object is there, and not so old that it should be written anew.

        A holder that tells no times lets nobody remove for age either.
        """
        return held is not None and (held.written is None or held.written >= self._clock() - FRESH)

    def _held(self, content: Content) -> Found | None:
        """Return what is there if it is whole.

        Its holder's word is enough if it gives the SHA-256 that it computed from the bytes when it took them;
        otherwise they are read again. Whoever wrote something else there since has changed that checksum, too.
        """
        held = self._driver.stat(_key(content.digest))
        if held is None or (held.size, held.seal) == (content.size, content.seal):
            return held
        try:
            self._read(content.digest, _drain)
        except NotFound:
            return None
        return held

    def _send(self, content: Content, part: int, replace: bool, source: Iterator[bytes]) -> None:  # noqa: FBT001 - by `partial`
        """Write the object, once.

        Raises:
            ChangedError: the source is not what was described; nothing was kept.
        """
        parts = content.checked(in_parts(source, part))
        try:
            vouched = self._driver.create(_key(content.digest), content, parts, replace=replace)
        except FileExistsError:  # somebody else was first, or we were, and the reply was lost
            vouched = False
        if not vouched and self._held(content) is None:
            raise StoreUnreachable(
                f"the store {self.url} cannot be written",
                expected=f"the object {content.digest} to be there once it was written",
                found="none: a reply was lost on the way, or somebody removed it",
                hint="Try again",
            )
        for _ in source:  # to the end, if somebody else was first: a file is at rest only once it has been read
            pass

    # --- the way out ---

    def _read(self, digest: Digest, take: Callable[[Iterator[bytes]], T]) -> T:
        """Return what `take` makes of the object's blocks, once they are seen to have the digest.

        Wrong bytes may be the link's fault: they count as the store's only if they come again, the same.
        """
        for _ in range(_ATTEMPTS):
            hasher = hashlib.sha256()
            try:
                answer = take(self._hashed(digest, hasher.update))
                found = Digest(hasher.hexdigest())
                if found == digest:
                    return answer
                self._look_again(digest, found)
            except FileNotFoundError as error:
                raise self._missing(digest) from error
        raise StoreUnreachable(
            f"the store {self.url} cannot be read",
            expected=f"the bytes of {digest}",
            found=f"other bytes at each of {_ATTEMPTS} readings: the link spoils them on the way",
            hint="Check the network, and what stands between this machine and the store",
        )

    def _hashed(self, digest: Digest, update: Callable[[bytes], None]) -> Iterator[bytes]:
        for block in self._blocks(digest):
            update(block)
            yield block

    def _blocks(self, digest: Digest) -> Iterator[bytes]:
        at = 0
        while block := self._driver.read(_key(digest), at, self._part):
            yield block
            at += len(block)
            if len(block) < self._part:
                return

    def _look_again(self, digest: Digest, found: Digest) -> None:
        """Set the object aside if it is corrupt where it is kept; return if it was the link.

        Args:
            digest: what it should be.
            found: what came.
        """
        for _ in range(_READINGS - 1):
            held = self._stat(digest)
            content = Content.of(self._blocks(digest), part_size(held.size, self._part))
            if content.digest != found:
                return
            if held.seal in (None, content.seal):  # nobody claims that these bytes were ever other ones
                break
        self._set_aside(digest, content, held)

    def _stat(self, digest: Digest) -> Found:
        held = self._driver.stat(_key(digest))
        if held is None:
            raise self._missing(digest)
        return held

    def _missing(self, digest: Digest) -> NotFound:
        return NotFound(f"the store {self.url} has no object {digest}")

    # --- what is corrupt ---

    def _set_aside(self, digest: Digest, content: Content, held: Found) -> NoReturn:
        """Move a corrupt object to the quarantine with a note, and raise."""
        key, name = _key(digest), f"{_QUARANTINE}/{digest.hex}.{secrets.token_hex(4)}"
        note = {
            "object": str(digest),
            "found": str(content.digest),
            "size": content.size,
            "quarantined": self._clock().astimezone(UTC).isoformat(),
        }
        try:
            self._driver.copy(key, name)
            self._driver.write(f"{name}.json", (json.dumps(note, indent=2) + "\n").encode())
            self._driver.remove(key, held.mark)
            hint = f"The bytes were moved to {name} there"
        except (FileNotFoundError, FileExistsError):
            hint = "Another reader moved it meanwhile"
        except StoreUnavailable as error:
            hint = f"The bytes could not be moved to {name}: {error.found}"
        raise DigestMismatch(
            f"the object {digest} in the store {self.url} is corrupt",
            expected="bytes with that digest",
            found=f"{content.size} bytes with {content.digest}",
            hint=hint,
        )


def _key(digest: Digest) -> str:
    return f"{_OBJECTS}/{digest.hex[:2]}/{digest.hex[2:]}"


def _rewrite(target: int, blocks: Iterator[bytes]) -> None:
    """Write the blocks from the file's beginning: an earlier reading may have been spoilt."""
    os.ftruncate(target, 0)
    os.lseek(target, 0, os.SEEK_SET)
    for block in blocks:
        write(target, block)


def _drain(blocks: Iterator[bytes]) -> None:
    for _ in blocks:
        pass
