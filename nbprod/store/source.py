"""A file to be kept: read in blocks, and seen to be at rest while it was read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from nbprod.errors import CallerError, NotFound
from nbprod.store.files import blocks, file_kind

__all__ = ["read_at_rest"]

_ATTEMPTS = 3

T = TypeVar("T")


def read_at_rest(path: Path, consume: Callable[[Iterator[bytes]], T]) -> T:
    """Open the file, hand its blocks to `consume`, and return its answer if the file stayed as it was.

    Rest means: the same size, modification and change time before and after. A write of equal size within one tick
    of the file system's clock (4 ms on most) can't be seen; what was kept is then still exactly what was hashed.

    Args:
        path: a regular file.
        consume: takes the file's bytes in blocks, all of them; called again, up to three times in all, when the file
            changed meanwhile.

    Raises:
        CallerError: not a regular file, not readable, or changing all the time.
        NotFound: there is no such file.
    """
    for _ in range(_ATTEMPTS):
        descriptor = _open(path)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise CallerError(f"{path} cannot be kept", expected="a regular file", found=file_kind(before.st_mode))
            answer = consume(_reading(path, descriptor))
            if _mark(os.fstat(descriptor)) == _mark(before):
                return answer
        finally:
            os.close(descriptor)
    raise CallerError(
        f"{path} changes while it is being read",
        expected="a file that nobody writes to any more",
        found=f"{_ATTEMPTS} readings, and a change during each",
        hint="End the process that writes it, then try again",
    )


def _reading(path: Path, descriptor: int) -> Iterator[bytes]:
    try:
        yield from blocks(descriptor)
    except OSError as error:
        raise CallerError(f"{path} cannot be read", found=error.strerror or str(error)) from error


def _open(path: Path) -> int:
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except OSError as error:
        raise CallerError(f"{path} cannot be read", found=error.strerror or str(error)) from error


def _mark(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
