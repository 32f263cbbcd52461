"""What a remote store asks of the thing that holds its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nbprod.store.content import Content

__all__ = ["Driver", "Found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object as its holder describes it, without reading it.

    Args:
        size: in bytes.
        seal: the checksum that the holder computed when it took the bytes (see `Content.seal`); None for none.
        mark: changes when the object does; empty where the holder tells none.
        written: when it was last written, by the holder's clock; aware. None where the holder does not tell.
    """

    size: int
    seal: str | None = None
    mark: str = ""
    written: datetime | None = None


class Driver(Protocol):
    """Objects by key, somewhere else. One driver serves many threads, also after a fork.

    Every method tries again for a while, and raises in the end: FileNotFoundError for a key that is not there,
    StoreUnreachable for a link that does not hold, StoreUnavailable for what waiting would not mend, SettingsError for
    an address that cannot be right.
    """

    @property
    def url(self) -> str:
        """The address, without credentials."""
        ...

    def stat(self, key: str) -> Found | None:
        """Describe an object; None if it is not there."""
        ...

    def read(self, key: str, start: int, size: int) -> bytes:
        """Return bytes from an offset on: as many as were asked for, or all that are left."""
        ...

    def create(self, key: str, content: Content, parts: Iterator[bytes], *, replace: bool = False) -> bool:
        """Write a new object.

        Args:
            key: where.
            content: describes the bytes.
            parts: the bytes.
            replace: take the place of the one that is there, so that it counts as written now.

        Returns:
            Whether the holder has confirmed the content's seal; otherwise the object must be read again.

        Raises:
            FileExistsError: there is one already, or there may be: a reply was lost.
        """
        ...

    def write(self, key: str, data: bytes) -> None:
        """Write a few bytes, whatever was there."""
        ...

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys below a folder in ascending order, in flat memory."""
        ...

    def copy(self, key: str, target: str) -> None:
        """Copy an object, at the holder."""
        ...

    def remove(self, key: str, mark: str) -> None:
        """Remove an object if it still has that mark, as far as the holder can tell."""
        ...
