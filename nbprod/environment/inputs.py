"""Files and folders that a run reads, pinned by their content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbprod.digest import Digest, Json, digest_bytes, digest_stream
from nbprod.record.folder import folder_bytes

__all__ = ["InputRead", "Pinned", "paths_in", "pin_path"]

MAX_FILES = 10_000
MAX_BYTES = 1 << 30

_Status = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What a path held when it was looked at.

    Args:
        kind: `unpinned` where it is there but its content can't be told; such an input equals nothing.
        digest: of a file's bytes, or of a folder's listing.
        size: bytes, of a folder in all.
        files: in a folder; 1 for a file.
        reason: why it is unpinned.
        listing: of a folder: the list that has the digest (see `nbprod.record.folder`).
    """

    kind: Literal["file", "folder", "missing", "unpinned"]
    digest: Digest | None = None
    size: int | None = None
    files: int | None = None
    reason: str | None = None
    listing: bytes | None = field(default=None, repr=False, compare=False)

    def identity(self) -> Json:
        """Return what stands in a run's identity: content, no path."""
        return {"kind": self.kind, "digest": str(self.digest) if self.digest else None}

    def to_json(self) -> dict[str, Json]:
        """Return the form that stands in the record."""
        told = {"size": self.size, "files": self.files, "reason": self.reason}
        return {**self.identity(), **{key: value for key, value in told.items() if value is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRead:
    """A file or folder that a run was given to read.

    Args:
        name: the parameter that named it, `files[0]` within a container.
        path: as the run sees it.
        pinned: its content when the run was bound.
    """

    name: str
    path: Path
    pinned: Pinned

    def to_json(self) -> dict[str, Json]:
        """Return the form that stands in the record."""
        return {"name": self.name, "path": os.fsencode(self.path).decode(errors="replace"), **self.pinned.to_json()}


class _Unpinnable(Exception):
    """Why a content can't be told."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One name in a folder; `status` for regular files only."""

    name: str
    path: Path
    what: Json
    status: _Status | None = None


def pin_path(path: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> Pinned:
    """Return what a path holds; never raises for what it finds.

    A folder is pinned by the canonical JSON of its names, sizes and digests. Links are followed as a reader would,
    each folder once; pipes, sockets and devices are named but never opened.

    Args:
        path: a file or folder, or what a link to one is called.
        max_files: entries of a folder above which it stays unpinned.
        max_bytes: bytes in a folder above which it stays unpinned; a single file may have any size.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _pin_folder(path, max_files, max_bytes)
        if not stat.S_ISREG(mode):
            return Pinned(kind="unpinned", reason=f"a {_special(mode)}, which is never opened")
        digest, size = _read(path)
        return Pinned(kind="file", digest=digest, size=size, files=1)
    except (FileNotFoundError, NotADirectoryError):
        return Pinned(kind="missing")
    except _Unpinnable as reason:
        return Pinned(kind="unpinned", reason=str(reason))
    except (OSError, ValueError) as error:
        return Pinned(kind="unpinned", reason=getattr(error, "strerror", None) or str(error))


def _pin_folder(root: Path, max_files: int, max_bytes: int) -> Pinned:
    entries = list(_list(root, max_files, max_bytes))
    listing: list[Mapping[str, Json]] = []
    size = 0
    for entry in entries:
        what = entry.what
        if entry.status is not None:
            digest, read = _read(entry.path)
            size += read
            what = {"size": read, "digest": str(digest)}
        listing.append({"name": entry.name, **what})
    if list(_list(root, max_files, max_bytes)) != entries:
        raise _Unpinnable("it changed while it was read")
    files = sum(entry.status is not None for entry in entries)
    told = folder_bytes(listing)
    return Pinned(kind="folder", digest=digest_bytes(told), size=size, files=files, listing=told)


def _list(root: Path, max_files: int, max_bytes: int) -> Iterator[_Entry]:
    """Yield what lies below the folder, sorted by name at each level."""
    seen = {_identity(root.stat()): "."}
    todo = [(root, "")]
    count = size = 0
    while todo:
        folder, prefix = todo.pop()
        below: list[tuple[Path, str]] = []
        for path in sorted(folder.iterdir(), key=lambda item: os.fsencode(item.name)):
            count += 1
            entry = _entry(path, prefix + _text(path.name), seen)
            if entry.what == {"kind": "folder"}:
                below.append((path, f"{entry.name}/"))
            size += entry.status[0] if entry.status else 0
            if count > max_files or size > max_bytes:
                raise _Unpinnable(
                    f"more than {max_files:,} files" if count > max_files else f"more than {max_bytes:,} bytes"
                )
            yield entry
        todo += reversed(below)


def _entry(path: Path, name: str, seen: dict[tuple[int, int], str]) -> _Entry:
    try:
        status = path.stat()
    except FileNotFoundError:
        return _Entry(name, path, {"kind": "missing"})  # a link that leads nowhere
    except OSError as error:
        if path.is_symlink():
            return _Entry(name, path, {"kind": "missing"})  # a link to itself
        raise _Unpinnable(f"{name}: {error.strerror}") from error
    if stat.S_ISREG(status.st_mode):
        return _Entry(name, path, {}, _status(status))
    if not stat.S_ISDIR(status.st_mode):
        return _Entry(name, path, {"kind": _special(status.st_mode)})
    first = seen.setdefault(_identity(status), name)
    return _Entry(name, path, {"kind": "folder"} if first == name else {"kind": "same", "as": first})


def _read(path: Path) -> tuple[Digest, int]:
    # Without O_NONBLOCK, a pipe that has taken the file's place would block for ever.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as stream:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise _Unpinnable(f"it became a {_special(before.st_mode)} while it was read")
        digest, size = digest_stream(stream)
        after = os.fstat(handle)
    if _status(before) != _status(after) or _status(after) != _status(path.stat()) or size != after.st_size:
        raise _Unpinnable("it changed while it was read")
    return digest, size


def _status(status: os.stat_result) -> _Status:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _special(mode: int) -> str:
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def _text(name: str) -> str:
    """Return a file's name as text; bytes that aren't UTF-8 as NUL, which no name has, and hex."""
    data = os.fsencode(name)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"\0{data.hex()}"


def paths_in(parameters: Mapping[str, Any], declared: set[str], base: Path) -> list[tuple[str, Path]]:
    """Return the files and folders that parameters name, in their order.

    Args:
        parameters: values by name; containers are searched too.
        declared: names of the parameters declared as `Path`: their values count whether they exist or not.
            Other strings count where they hold a separator and exist.
        base: the folder that relative paths start from, the kernel's working directory.
    """
    found = []
    for name, value in parameters.items():
        for where, text, certain in _texts(name, value, certain=name in declared):
            path = base / text
            if certain or (_has_separator(text) and _exists(path)):
                found.append((where, path))
    return found


def _texts(name: str, value: Any, *, certain: bool) -> Iterator[tuple[str, str, bool]]:
    if isinstance(value, Path):
        yield name, str(value), True
    elif isinstance(value, str):
        yield name, value, certain
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(f"{name}[{key!r}]", item, certain=certain)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(f"{name}[{index}]", item, certain=certain)
    elif isinstance(value, set | frozenset):
        for item in sorted(value, key=str):
            yield from _texts(f"{name}[{item!s}]", item, certain=certain)


def _has_separator(text: str) -> bool:
    return "\n" not in text and (os.sep in text or bool(os.altsep and os.altsep in text))


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True
