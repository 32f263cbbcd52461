"""Writing files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file by way of a temporary one in the same folder: readers see the old file or the whole new one.

    Args:
        path: where; its folder is there.
        data: all of it.
        mode: the new file's rights, less the process's umask, as for any file that a user's program writes.

    Raises:
        OSError: it cannot be written; an older file is still as it was.
    """
    temporary = path.parent / f".nbprod-{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
