"""The copies of an executed notebook that people look for, written beside other work where they are large."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from nbprod.record.ids import RunId
from nbprod.runner.files import Draft, leave_output, write_atomically

__all__ = ["LARGE", "Aside", "Copies"]

LARGE = 1_000_000
"""Bytes from which on it pays to write beside other work."""

T = TypeVar("T")


class Aside(Generic[T]):
    """Work that a thread does meanwhile.

    Args:
        work: what to do.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._outcome: tuple[T] | BaseException | None = None
        self._thread = threading.Thread(target=self._do, name="nbprod-aside")
        self._thread.start()

    def result(self) -> T:
        """Wait for the end; return what came of it, or raise what it raised."""
        self._thread.join()
        if isinstance(self._outcome, tuple):
            return self._outcome[0]
        assert self._outcome is not None  # noqa: S101 - the thread has ended
        raise self._outcome

    def _do(self) -> None:
        try:
            self._outcome = (self._work(),)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._outcome = error


class Copies:
    """The copies of an executed notebook that people look for: a large one is drafted while the run is being closed.

    Args:
        folder: where the run's own copy goes.
        output: where the caller asked for one; None if he did not.
    """

    def __init__(self, folder: Path, output: Path | str | None) -> None:
        self._folder = folder
        self._output = output
        self._drafts: dict[Path, tuple[Draft, Aside[None]]] = {}

    def begin(self, data: bytes) -> None:
        """Begin to write a large one; of a small one, nothing happens yet."""
        if len(data) >= LARGE:
            self._draft(self._folder, data, 0o444)
            if isinstance(self._output, Path):
                self._draft(self._output, data, 0o666)

    def discard(self) -> None:
        """Remove what was begun: the run is not closed, or somebody else has closed it."""
        for draft, writing in self._drafts.values():
            with contextlib.suppress(OSError):
                writing.result()
                draft.discard()
        self._drafts.clear()

    def leave_folder(self, data: bytes) -> None:
        """Leave the run's own copy. A notebook can remove even its run's folder: the store has this one, too."""
        with contextlib.suppress(OSError):
            self._commit(self._folder, data, 0o444)

    def leave_output(self, data: bytes, run_id: RunId) -> None:
        """Leave the executed notebook where the caller asked for it, if he did (raises as `leave_output` does)."""
        if self._output is not None:
            leave_output(self._output, data, run_id, lambda path, whole: self._commit(path, whole, 0o666))

    def _draft(self, path: Path, data: bytes, mode: int) -> None:
        draft = Draft(path, mode=mode)
        self._drafts[path] = draft, Aside(lambda: draft.write(data))

    def _commit(self, path: Path, data: bytes, mode: int) -> None:
        if path not in self._drafts:
            write_atomically(path, data, mode=mode)
            return
        draft, writing = self._drafts.pop(path)
        writing.result()
        draft.commit()
