"""Secrets inside of files: in their bytes, and in those of the members of ZIP archives and of what gzip has packed.

Other compressions (Parquet's pages among them) are not unpacked: what they hide is not found.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from nbprod.masking import Masker

__all__ = ["secrets_inside"]

_STEP = 1 << 20
_LARGEST = 1 << 30
"""Bytes that are unpacked of one file at most: a small one may hold terabytes of zeros."""
_GZIP = b"\x1f\x8b"


def secrets_inside(path: Path, masker: Masker) -> frozenset[str]:
    """Return the names of the secrets that a file holds, plain or encoded (see `Masker`).

    Args:
        path: a regular file.
        masker: knows the secrets.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        names, start = _found(stream, masker), b""
        stream.seek(0)
        start = stream.read(len(_GZIP))
    if names:
        return names
    try:
        if zipfile.is_zipfile(path):
            return _in_members(path, masker)
        if start == _GZIP:
            with gzip.open(path) as unpacked:
                return _found(cast(IO[bytes], unpacked), masker, _LARGEST)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, gzip.BadGzipFile):
        pass  # damaged, encrypted or packed in a way of its own: its bytes were looked through
    return frozenset()


def _in_members(path: Path, masker: Masker) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    left = _LARGEST
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            names |= masker.names_in(member.filename.encode("utf-8", "surrogateescape"))
            if left <= 0:
                break
            with archive.open(member) as stream:
                names |= _found(stream, masker, left)
            left -= member.file_size
    return names


def _found(stream: IO[bytes], masker: Masker, most: int | None = None) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    for window in _windows(stream, max(masker.longest_bytes - 1, 0), most):
        names |= masker.names_in(window)
    return names


def _windows(stream: IO[bytes], overlap: int, most: int | None) -> Iterator[bytes]:
    """Yield a stream in pieces, each with the end of the one before, so that nothing falls between two."""
    before, seen = b"", 0
    while (piece := stream.read(_STEP)) and (most is None or seen < most):
        seen += len(piece)
        window = before + piece
        yield window
        before = window[-overlap:] if overlap else b""
