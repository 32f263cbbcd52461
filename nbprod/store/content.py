"""What is to be sent, known before it is sent: its digest, its size, and the digests of its parts."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nbprod.digest import Digest

__all__ = ["PART", "ChangedError", "Content", "in_parts", "part_size"]

PART = 8 << 20
"""Bytes sent in one request: few enough to lose little when a link breaks and to hold in memory."""

_MOST_PARTS = 9_000
"""S3 takes 10,000 parts; the rest is for a file that grows meanwhile."""


def part_size(size: int, part: int = PART) -> int:
    """Return the bytes per part for so many bytes in all: the same for everybody, as the seal depends on it."""
    return part * max(1, -(-size // (part * _MOST_PARTS)))


class ChangedError(Exception):
    """Bytes are not what was described. Inside the store only: who puts a file never sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes, described.

    Args:
        digest: of them all.
        size: in bytes.
        parts: the digest of each part; one for few or no bytes.
    """

    digest: Digest
    size: int
    parts: tuple[Digest, ...]

    @classmethod
    def of(cls, source: Iterable[bytes], part: int) -> Content:
        """Read the bytes and describe them.

        Args:
            source: the bytes, in blocks of any size.
            part: bytes per part.
        """
        whole, size, parts = hashlib.sha256(), 0, []
        for piece in in_parts(source, part):
            whole.update(piece)
            size += len(piece)
            parts.append(Digest(hashlib.sha256(piece).hexdigest()))
        return cls(digest=Digest(whole.hexdigest()), size=size, parts=tuple(parts))

    @property
    def seal(self) -> str:
        """The SHA-256 checksum that S3 keeps with the object.

        Of one part it is the bytes' own; of several, the checksum of their checksums and their number (Amazon S3 User
        Guide, "Checking object integrity", composite checksums).
        """
        if len(self.parts) == 1:
            return b64encode(bytes.fromhex(self.digest.hex)).decode("ascii")
        joined = b"".join(bytes.fromhex(part.hex) for part in self.parts)
        return f"{b64encode(hashlib.sha256(joined).digest()).decode('ascii')}-{len(self.parts)}"

    def checked(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the parts, each seen to be what was described.

        Raises:
            ChangedError: one is not, or there are too few or too many.
        """
        known = iter(self.parts)
        for part in parts:
            if Digest(hashlib.sha256(part).hexdigest()) != next(known, None):
                raise ChangedError
            yield part
        if next(known, None) is not None:
            raise ChangedError


def in_parts(source: Iterable[bytes], part: int) -> Iterator[bytes]:
    """Yield the same bytes in parts of equal size but the last; one empty part where there are none."""
    held: list[bytes] = []
    size, any_yet = 0, False
    for block in source:
        rest = memoryview(block)
        while size + len(rest) >= part:
            held.append(bytes(rest[: part - size]))
            rest = rest[part - size :]
            yield b"".join(held)
            held, size, any_yet = [], 0, True
        if rest:
            held.append(bytes(rest))
            size += len(rest)
    if held or not any_yet:
        yield b"".join(held)
