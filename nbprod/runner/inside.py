"""Secrets inside of files: in their bytes, and in what ZIP archives, gzip, bzip2, xz and zlib have packed.

Other compressions (those of Parquet's pages among them) and archives in archives are not unpacked: what they hide is
not found.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from nbprod.masking import Masker

__all__ = ["secrets_inside"]

_STEP = 1 << 20
_LARGEST = 1 << 30
"""Bytes that are unpacked of one file at most: a small one may hold terabytes of zeros."""
_LONGEST_MARK = 6


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Zlib:
    """What zlib has packed, as `joblib.dump(…, compress=True)` does (RFC 1950)."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._unpacker = zlib.decompressobj()

    def read(self, size: int, /) -> bytes:
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._file.read(size)
            unpacked = self._unpacker.decompress(packed, size)
            if unpacked or not packed:
                return unpacked
        return b""

    def close(self) -> None:
        self._file.close()


_PACKED: Final[Mapping[bytes, Callable[[Path], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    **{b"\x78" + level: _Zlib for level in (b"\x01", b"\x5e", b"\x9c", b"\xda")},
}
"""Who unpacks a file that begins so."""
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,  # and so NotImplementedError
    OSError,
    ValueError,
    IndexError,
    OverflowError,
    struct.error,
)
"""What is said of packed bytes that are cut, encrypted, named oddly, or packed in a way of their own."""


def secrets_inside(path: Path, masker: Masker, hear: Callable[[bytes], object] | None = None) -> frozenset[str]:
    """Return the names of the secrets that a file holds, plain or encoded (see `Masker`).

    Args:
        path: a file; what is none, and has taken a file's place, is empty.
        masker: knows the secrets.
        hear: is given the file's bytes as they are read.

    Raises:
        OSError: it cannot be read.
    """
    names: set[str] = set()
    # Without O_NONBLOCK, a pipe that has taken the file's place would block for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
        mark = stream.peek(_LONGEST_MARK)[:_LONGEST_MARK]
        _look_through(stream, masker, names, hear=hear)
    if names or not mark:
        return frozenset(names)
    with suppress(*_DAMAGED):  # what could be unpacked of it was looked through, and so were its bytes
        if zipfile.is_zipfile(path):
            _look_into_members(path, masker, names)
        for begun, unpacked in _PACKED.items():
            if mark.startswith(begun):
                with closing(unpacked(path)) as packed:
                    _look_through(packed, masker, names, _LARGEST)
    return frozenset(names)


def _look_into_members(path: Path, masker: Masker, names: set[str]) -> None:
    left = _LARGEST

    def count(piece: bytes) -> None:
        nonlocal left
        left -= len(piece)  # what the archive says of itself may be wrong

    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            names |= masker.names_in(member.filename.encode("utf-8", "surrogateescape"))
            with suppress(*_DAMAGED):
                if left > 0:
                    with archive.open(member) as stream:
                        _look_through(stream, masker, names, left, count)


def _look_through(
    stream: _Readable,
    masker: Masker,
    names: set[str],
    most: int | None = None,
    hear: Callable[[bytes], object] | None = None,
) -> None:
    for window in _windows(stream, max(masker.longest_bytes - 1, 0), most, hear):
        names |= masker.names_in(window)


def _windows(
    stream: _Readable, overlap: int, most: int | None, hear: Callable[[bytes], object] | None
) -> Iterator[bytes]:
    """Yield a stream in pieces, each with the end of the one before, so that nothing falls between two."""
    before, seen = b"", 0
    while (piece := stream.read(_STEP)) and (most is None or seen < most):
        if hear is not None:
            hear(piece)
        seen += len(piece)
        window = before + piece
        yield window
        before = window[-overlap:] if overlap else b""
