"""A zip file from somebody whom nobody knows, read within bounds; and the only form of zip file that a bundle has.

Every byte before the directory belongs to one member, names are plain and different, nothing is encrypted, no link, and
what is compressed can only unfold to so much: see the constants, which whoever writes a bundle keeps to as well.
"""

from __future__ import annotations

import os
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nbprod.errors import BundleInvalid, CallerError

__all__ = ["DEFLATED_ALL", "DEFLATED_MOST", "MEMBERS", "Archive", "is_plain"]

MEMBERS = 100_000
"""Files of a bundle."""
DEFLATED_MOST = 16 << 20
"""Bytes of a compressed file, unfolded; larger ones stand as they are."""
DEFLATED_ALL = 1 << 30
"""Bytes of all compressed files together, unfolded."""
_DIRECTORY = 64 << 20
_NAME = 400
_BLOCK = 1 << 20
_END, _END64, _FAR = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_LOCAL = b"PK\3\4"
_TAIL = 1 << 16
"""Bytes at a file's end in which a zip file has its last record."""
_ZIP64 = 1
_ZIP64_LONGEST = 24
"""Bytes of two sizes and an offset."""
_FLAGS = 0x1 | 0x8 | 0x20 | 0x40 | 0x2000
"""Encrypted in one way or another, patched, or with sizes behind the bytes."""
_FEW = 0xFFFF
_SMALL = 0xFFFFFFFF


class Archive:
    """A zip file, open for reading, also by several threads, in the form that a bundle has.

    Args:
        path: the file.

    Raises:
        CallerError: there is no such file, or it cannot be read.
        BundleInvalid: it is no zip file, or one that no bundle is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            # Without O_NONBLOCK, a pipe would block for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise CallerError(f"{path} is no bundle", expected="a file")
            self._stream: IO[bytes] = os.fdopen(descriptor, "rb")
        except OSError as error:
            raise CallerError(f"the bundle {path} cannot be read", found=error.strerror or str(error)) from error
        try:
            _refuse_other(path, self._stream)
            count, start = _refuse_directory(self._stream)
            self._zip = zipfile.ZipFile(self._stream)
            _refuse_another(self._zip.start_dir, start)
            self._members = {each.filename: each for each in self._zip.infolist()}
            _refuse_members(self._zip.infolist(), count)
            _refuse_gaps(self._stream, self._zip.infolist(), start)
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, EOFError) as error:
            self._stream.close()
            raise BundleInvalid(f"{path} is no bundle", expected="a whole zip file", found=str(error)) from error
        except BaseException:
            self._stream.close()
            raise

    @property
    def names(self) -> frozenset[str]:
        """The names of all members."""
        return frozenset(self._members)

    def size(self, name: str) -> int:
        """Return a member's size in bytes, as the directory gives it.

        Raises:
            KeyError: there is none.
        """
        return self._members[name].file_size

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield a member's bytes, not more than the directory says.

        Raises:
            KeyError: there is none.
            BundleInvalid: it cannot be unfolded, or is not what the directory says.
        """
        try:
            with self._opened(name) as stream:
                while block := stream.read(_BLOCK):
                    yield block
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise BundleInvalid(f"{name} in the bundle {self.path} cannot be read", found=str(error)) from error

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        with self._lock:  # reading is made for threads, but not the counting of what is open
            stream = self._zip.open(self._members[name])
        try:
            yield stream
        finally:
            with self._lock:
                stream.close()

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()
        self._stream.close()


def is_plain(name: str) -> bool:
    """Say whether a name may stand in a bundle: ASCII, relative, and no way out of where it is unpacked."""
    parts = name.split("/")
    return (
        0 < len(name) <= _NAME
        and name.isascii()
        and name.isprintable()
        and not any(letter in '\\:*?"<>|' for letter in name)
        and not any(part in ("", ".", "..") or part[-1] in ". " for part in parts)
    )


def _refuse_other(path: Path, stream: IO[bytes]) -> None:
    """Refuse a file that was never a zip file: of one that begins like one it is said what is wrong with it."""
    begin = _read_at(stream, 0, len(_LOCAL))
    if begin != _LOCAL and _END not in _read_at(stream, max(0, stream.seek(0, os.SEEK_END) - _TAIL), _TAIL):
        raise BundleInvalid(
            f"{path} is no bundle",
            expected="a zip file that `nbprod export` wrote, such as train-717d796b.nbprod.zip",
            found="a file that is no zip file" if begin else "an empty file",
            hint="`nbprod verify` takes a bundle, a RUN or a STEP@VERSION; which run made a file, "
            "`nbprod lineage FILE` tells where the project is",
        )


def _refuse_directory(stream: IO[bytes]) -> tuple[int, int]:
    """Return how many entries the directory has and where it begins, without reading it: it may be huge."""
    whole = stream.seek(0, os.SEEK_END)
    end = _read_at(stream, max(0, whole - 22), 22)
    if len(end) != 22 or not end.startswith(_END):  # noqa: PLR2004 - the length of its last record
        raise BundleInvalid("this is no bundle", expected="a zip file, with nothing behind its end")
    disk, first, here, count, length, start, comment = struct.unpack("<4H2LH", end[4:])
    stop = whole - 22
    # A reader that finds the records of a large file goes by them, whatever the short one says.
    if _FEW in (here, count) or _SMALL in (length, start) or _read_at(stream, max(0, whole - 42), 4) == _FAR:
        stop, count, length, start = _far(stream, whole)
    elif disk or first or here != count:
        raise BundleInvalid("this zip file is only a part of one")
    if comment or start + length != stop:
        raise BundleInvalid("this is no bundle", expected="a zip file, with nothing before or behind it")
    if count > MEMBERS or length > _DIRECTORY:
        told = f"{count:,} files, {length:,} bytes of names"
        raise BundleInvalid("this zip file is no bundle: too many files", expected=f"{MEMBERS:,} at most", found=told)
    return int(count), int(start)


def _far(stream: IO[bytes], whole: int) -> tuple[int, int, int, int]:
    """Return where the directory ends, its entries, its length and its start, from the records of a large file."""
    locator = _read_at(stream, max(0, whole - 42), 20)
    if not locator.startswith(_FAR):
        raise BundleInvalid("this zip file has no end")
    (at,) = struct.unpack("<Q", locator[8:16])
    record = _read_at(stream, min(at, whole), 56)
    if not record.startswith(_END64) or at + 56 != whole - 42:
        raise BundleInvalid("this zip file has no end")
    count, length, start = struct.unpack("<3Q", record[32:56])
    return at, count, length, start


def _refuse_another(found: int, looked_at: int) -> None:
    """Refuse a zip file in which another reader finds another directory."""
    if found != looked_at:
        raise BundleInvalid("this zip file has two directories")


def _refuse_members(infos: list[zipfile.ZipInfo], count: int) -> None:
    """Refuse what no bundle holds, and a directory that has not as many entries as the file's end says."""
    if len(infos) != count:
        raise BundleInvalid("this zip file has not what it says", expected=f"{count} files", found=str(len(infos)))
    seen: set[str] = set()
    unfolded = 0
    for info in infos:
        name = info.filename
        if not is_plain(name) or name != info.orig_filename:
            raise BundleInvalid("a name in this zip file is none that a bundle has", found=repr(name[:80]))
        if name.lower() in seen:
            raise BundleInvalid("two files of this zip file have the same name", found=name)
        seen.add(name.lower())
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.is_dir():
            raise BundleInvalid("this zip file holds what is no file", found=name)
        if (
            info.flag_bits & _FLAGS
            or info.comment
            or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        ):
            raise BundleInvalid("a file in this zip file is packed in a way that no bundle has", found=name)
        if info.compress_type == zipfile.ZIP_STORED:
            if info.compress_size != info.file_size:
                raise BundleInvalid("a file in this zip file has two sizes", found=name)
            continue
        unfolded += info.file_size
        if info.file_size > DEFLATED_MOST or unfolded > DEFLATED_ALL:
            told = f"{name}, {info.file_size:,} bytes"
            raise BundleInvalid("this zip file unfolds to more than a bundle does", found=told)


def _refuse_gaps(stream: IO[bytes], infos: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse bytes that belong to no member, or to two."""
    at = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        header = _read_at(stream, info.header_offset, 30)
        if info.header_offset != at or not header.startswith(_LOCAL):
            raise BundleInvalid("there is a gap in this zip file", found=f"before {info.filename}")
        _, flags, method, _, _, crc, packed, size, length, extra = struct.unpack("<5H3L2H", header[4:])
        beside = _read_at(stream, info.header_offset + 30, length + extra)
        far = _far_sizes(beside[length:], packed, size)
        told = (beside[:length], flags & _FLAGS, method, crc, *far)
        if told != (info.filename.encode(), 0, info.compress_type, info.CRC, info.compress_size, info.file_size):
            raise BundleInvalid("a file in this zip file is told of in two ways", found=info.filename)
        _far_sizes(info.extra, _SMALL, _SMALL)
        at += 30 + length + extra + info.compress_size
    if at != end:
        raise BundleInvalid("there is a gap in this zip file", found="before its directory")


def _far_sizes(extra: bytes, packed: int, size: int) -> tuple[int, int]:
    """Return a member's sizes, packed and not; they stand in the extra field of one of more than 4 GiB.

    Raises:
        BundleInvalid: the field holds anything else.
    """
    if not extra:
        return packed, size
    kind, length = struct.unpack("<2H", extra[:4])
    if kind != _ZIP64 or length != len(extra) - 4 or length % 8 or length > _ZIP64_LONGEST:
        raise BundleInvalid("a file in this zip file has more told of it than a bundle's has")
    values = list(struct.unpack(f"<{length // 8}Q", extra[4:]))
    size = values.pop(0) if size == _SMALL and values else size
    return (values.pop(0) if packed == _SMALL and values else packed), size


def _read_at(stream: IO[bytes], place: int, length: int) -> bytes:
    stream.seek(place)
    return stream.read(length)
