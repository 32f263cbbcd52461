"""Writing files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from nbprod.errors import EnvironmentFault, NbprodError
from nbprod.record.ids import RunId
from nbprod.store.elsewhere import shown_url, write_url

__all__ = ["Draft", "leave_output", "write_atomically"]


class Draft:
    """A file's new bytes in a temporary one in the same folder: readers see the old file or the whole new one.

    Args:
        path: where; its folder is there.
        mode: the new file's rights, less the process's umask, as for any file that a user's program writes.
    """

    def __init__(self, path: Path, *, mode: int = 0o666) -> None:
        self._path = path
        self._mode = mode
        self._temporary = path.parent / f".nbprod-{secrets.token_hex(8)}"

    def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            OSError: it cannot be written, and nothing is left of it.
        """
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        """Put it in the place of the old file.

        Raises:
            OSError: it cannot be; an older file is still as it was.
        """
        try:
            self._temporary.replace(self._path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove it."""
        self._temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file that readers see whole or not at all (see `Draft`).

    Raises:
        OSError: it cannot be written; an older file is still as it was.
    """
    draft = Draft(path, mode=mode)
    draft.write(data)
    draft.commit()


def leave_output(
    output: Path | str, data: bytes, run_id: RunId, write: Callable[[Path, bytes], None] = write_atomically
) -> None:
    """Write the executed notebook where the caller asked for it.

    Args:
        output: a path, or an address.
        data: the notebook.
        run_id: whose it is.
        write: writes to a path.

    Raises:
        EnvironmentFault: it cannot be written there; the run is recorded all the same.
    """
    try:
        if isinstance(output, Path):
            write(output, data)
        else:
            write_url(output, data)
    except (OSError, NbprodError) as error:
        raise EnvironmentFault(
            f"the executed notebook cannot be written to {shown_url(str(output))}",
            found=error.found if isinstance(error, NbprodError) else error.strerror,
            hint=f"The run is recorded all the same: see `nbprod show {run_id}`.",
        ) from error
