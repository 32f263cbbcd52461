"""The few things that a store does with files, each with its promise to a process that dies in the middle."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nbprod.digest import Digest
from nbprod.store.faults import target_unwritable

__all__ = [
    "BLOCK",
    "blocks",
    "delete",
    "file_kind",
    "hash_blocks",
    "locked",
    "names",
    "new_file",
    "status_of",
    "sync_folder",
    "whole_file",
    "write",
]

BLOCK = 1 << 20
"""Bytes read at a time: large enough for hashing at full speed, small enough to keep memory flat."""


def blocks(descriptor: int) -> Iterator[bytes]:
    """Yield what is left to read."""
    while block := os.read(descriptor, BLOCK):
        yield block


def status_of(name: str) -> os.stat_result | None:
    """Return what stands under a name; None where nothing does. A link that leads to itself stands for itself."""
    try:
        return os.stat(name)  # noqa: PTH116 - making a `Path` takes longer
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return os.lstat(name)  # of folders that lead to themselves, this fails as well


def file_kind(mode: int) -> str:
    """Say what it is that is no regular file."""
    if stat.S_ISLNK(mode):
        return "a link that leads to itself"
    return "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"


def write(descriptor: int, data: bytes) -> None:
    """Write all the bytes: one `os.write` may take fewer."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def hash_blocks(source: Iterable[bytes], target: int | None = None) -> Digest:
    """Return the digest of the blocks, writing each to `target` on the way."""
    hasher = hashlib.sha256()
    for block in source:
        hasher.update(block)
        if target is not None:
            write(target, block)
    return Digest(hasher.hexdigest())


def names(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none if there is no such folder."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    """Hold a lock of `fcntl.flock` on a file, which is made if it is not there; whoever dies lets go of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """Open a new file for writing; afterwards it is gone, unless it was renamed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path, mode: int) -> Iterator[int]:
    """Open a file for writing that takes its place only when it is whole and on the disk.

    After a power cut it is there whole or not at all; without the sync it could be there empty.

    Args:
        path: where it is to be; its folder is there.
        mode: its rights.

    Raises:
        EnvironmentFault, CallerError: it cannot be written there.
    """
    partial = path.parent / f".nbprod-{secrets.token_hex(8)}.part"
    try:
        with new_file(partial) as target:
            yield target
            os.fchmod(target, mode)
            os.fsync(target)
            partial.replace(path)
    except OSError as error:
        raise target_unwritable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete(path: Path) -> None:
    """Remove a file, a link, or a whole folder; nothing happens where nothing is."""
    if path.is_dir() and not path.is_symlink():  # in a store: it had taken an object's place
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
