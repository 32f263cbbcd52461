"""Archives by what they hold: zip files (numpy's too) and gzip, without times, order and packing."""

from __future__ import annotations

import ast
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from nbprod.diff.content import Content, TooMuchError
from nbprod.diff.outcome import Outcome

__all__ = ["Member", "compare_gzip", "compare_zip", "members_of"]

ZIP, GZIP = "members of zip", "content of gzip"
_MOST_MEMBERS = 10_000
_MOST_BYTES = 2 << 30
"""Bytes of all members together, unpacked, that are read."""
_BLOCK = 1 << 20
_SHOWN = 30
_NUMPY = b"\x93NUMPY"
_HEAD = 1024
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of an archive.

    Args:
        digest: SHA-256 of its bytes, in hex digits.
        size: bytes.
        array: of numpy's files, dtype and shape in words; else empty.
    """

    digest: str
    size: int
    array: str

    def __str__(self) -> str:
        """Return it in words."""
        return self.array or f"{self.size:,} bytes"


def members_of(stream: BinaryIO) -> dict[str, Member]:
    """Return the members of a zip file by their names; they are read and hashed, and never run or written anywhere.

    Raises:
        TooMuchError: there are too many, too large ones, or a name stands twice.
        BadZipFile: it is no zip file; others of `_BROKEN` for one that is broken.
    """
    made: dict[str, Member] = {}
    left = _MOST_BYTES
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        if len(infos) > _MOST_MEMBERS:
            raise TooMuchError(f"more than {_MOST_MEMBERS:,} members")
        for each in infos:
            if each.filename in made:
                raise TooMuchError(f"the member {each.filename!r} stands there twice")
            with archive.open(each) as member:
                made[each.filename] = read = _read(member, left)
            left -= read.size
    return made


def _read(stream: Any, most: int) -> Member:
    """Hash what a stream holds; what it unpacks to counts, not what the archive says of it."""
    hasher, size, head = hashlib.sha256(), 0, b""
    while block := stream.read(_BLOCK):
        head = head or block[:_HEAD]
        size += len(block)
        if size > most:
            raise TooMuchError(f"more than {_MOST_BYTES:,} bytes, unpacked")
        hasher.update(block)
    return Member(digest=hasher.hexdigest(), size=size, array=_array(head))


def _array(head: bytes) -> str:
    """Return dtype and shape of a numpy file (NEP 1), read from its beginning; empty for others."""
    if not head.startswith(_NUMPY) or len(head) < len(_NUMPY) + 6:
        return ""
    wide = head[6] > 1
    start = 12 if wide else 10
    size = int.from_bytes(head[8:start], "little")
    if size > _HEAD - start:
        return ""
    try:
        told = ast.literal_eval(head[start : start + size].decode("latin-1").strip())
        shape = " x ".join(str(int(each)) for each in told["shape"])
        kind = told["descr"] if isinstance(told["descr"], str) else f"records of {len(told['descr'])} fields"
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return ""
    return f"array of {kind}, {shape or 'one value'}"


def compare_zip(before: BinaryIO, after: BinaryIO) -> Content:
    """Compare two zip files member by member."""
    try:
        members = members_of(before), members_of(after)
    except (TooMuchError, *_BROKEN) as error:
        return Content(outcome=Outcome.DIFFERENT, by=ZIP, told=(f"they are not looked into: {error}",))
    told = compare_members(*members)
    return Content(outcome=Outcome.DIFFERENT if told else Outcome.NORMALISED, by=ZIP, told=told)


def compare_members(before: Mapping[str, Member], after: Mapping[str, Member]) -> tuple[str, ...]:
    """Return in which members two archives differ, in words."""
    told = []
    for name in sorted({*before, *after}):
        first, second = before.get(name), after.get(name)
        if first is None or second is None:
            told.append(f"{name}: {first or 'not there'} → {second or 'not there'}")
        elif first.digest != second.digest:
            same = str(first) == str(second)
            told.append(f"{name}: {first}, other content" if same else f"{name}: {first} → {second}")
    return tuple(told) if len(told) <= _SHOWN else (*told[:_SHOWN], f"… and {len(told) - _SHOWN} more")


def compare_gzip(before: BinaryIO, after: BinaryIO) -> Content:
    """Compare what two gzip files hold; a gzip file has a time and a name in it."""
    try:
        read = [_read(gzip.GzipFile(fileobj=each), _MOST_BYTES) for each in (before, after)]
    except (TooMuchError, *_BROKEN) as error:
        return Content(outcome=Outcome.DIFFERENT, by=GZIP, told=(f"they are not looked into: {error}",))
    if read[0].digest == read[1].digest:
        return Content(outcome=Outcome.NORMALISED, by=GZIP)
    return Content(outcome=Outcome.DIFFERENT, by=GZIP, told=(f"unpacked: {read[0]} → {read[1]}",))
