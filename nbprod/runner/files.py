"""Writing files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nbprod.errors import EnvironmentFault, NbprodError
from nbprod.record.ids import RunId
from nbprod.store.elsewhere import shown_url, write_url

__all__ = ["leave_output", "write_atomically"]


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


def leave_output(output: Path | str, data: bytes, run_id: RunId) -> None:
    """Write the executed notebook where the caller asked for it.

    Raises:
        EnvironmentFault: it cannot be written there; the run is recorded all the same.
    """
    try:
        if isinstance(output, Path):
            write_atomically(output, data)
        else:
            write_url(output, data)
    except (OSError, NbprodError) as error:
        raise EnvironmentFault(
            f"the executed notebook cannot be written to {shown_url(str(output))}",
            found=error.found if isinstance(error, NbprodError) else error.strerror,
            hint=f"The run is recorded all the same: see `nbprod show {run_id}`.",
        ) from error
