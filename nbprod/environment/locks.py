"""The lock files that lie beside a project: which packages its owner meant, beside those that were there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nbprod.digest import digest_stream
from nbprod.record.run_record import LockFile

__all__ = ["LARGEST", "lock_files"]

LARGEST = 16 << 20
"""Bytes above which a file is not taken for a lock file."""
_NAMES = frozenset(
    [
        "requirements.lock",
        "requirements.txt",
        "uv.lock",
        "pylock.toml",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "pixi.lock",
        "conda-lock.yml",
        "environment.yml",
    ]
)


def lock_files(folder: Path) -> tuple[LockFile, ...]:
    """Return the lock files of a folder, by name; one that cannot be read is left out.

    The names are those that pip, pip-tools, uv, PEP 751, Poetry, PDM, Pipenv, Pixi and conda give them.

    Args:
        folder: the project's root.
    """
    try:
        found = sorted(_NAMES & {*os.listdir(folder)})  # noqa: PTH208 - one call, where ten files are asked for
    except OSError:
        return ()
    return tuple(lock for name in found if (lock := _lock(folder / name)) is not None)


def _lock(path: Path) -> LockFile | None:
    try:
        # Without O_NONBLOCK, a pipe of that name would block for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return None
            digest, _ = digest_stream(stream)
    except OSError:
        return None
    return LockFile(name=path.name, digest=digest)
