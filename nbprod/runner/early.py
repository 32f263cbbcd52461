"""Artifacts sent to a remote store while the cells still run: what is there by the end need not be waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from nbprod.store import SpoolingStore, Store

__all__ = ["EarlyUploads"]

INTERVAL = 2.0
"""Seconds between two looks. A file that is the same in both is taken for finished."""

_TRIES = 2
"""How often a file is sent that changed after it had been sent: one that goes on growing is left for the end."""

_State = tuple[int, int, int]


class EarlyUploads:
    """Sends the files of a folder, beside what else goes on, as they come to rest; a context manager.

    Nothing depends on it: at the run's end each file is put as ever, which finds what is there already. Objects of
    files that were changed or removed later belong to nobody, and `nbprod gc` removes them.

    Args:
        store: where artifacts are kept; only a remote one is worth the effort. None: nothing is sent.
        folder: the run's output folder; need not be there.
    """

    def __init__(self, store: Store | None, folder: Path) -> None:
        self._store = store if isinstance(store, SpoolingStore) else None
        self._folder = folder
        self._ended = threading.Event()
        self._sent: dict[str, list[_State]] = {}
        self._thread = threading.Thread(target=self._look, name="nbprod-uploads", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        if self._store is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, once a file that is being sent has been: the run's end would send it, too."""
        self._ended.set()
        if self._store is not None:
            self._thread.join()

    def _look(self) -> None:
        before: dict[str, _State] = {}
        while not self._ended.wait(INTERVAL):
            now = dict(_states(self._folder))
            for path, state in now.items():
                sent = self._sent.setdefault(path, [])
                if state != before.get(path) or state in sent or len(sent) >= _TRIES:
                    continue
                sent.append(state)
                if self._ended.is_set() or not self._send(Path(path)):
                    return
            before = now

    def _send(self, path: Path) -> bool:
        return self._store is not None and self._store.send(path)


def _states(folder: Path) -> Iterator[tuple[str, _State]]:
    """Yield what tells regular files apart from what they were: size, time of change, identity."""
    for here, _, files in os.walk(folder):
        for name in files:
            path = f"{here}/{name}"
            try:
                status = os.lstat(path)
            except OSError:  # gone meanwhile
                continue
            if os.path.isfile(path) and not os.path.islink(path):  # noqa: PTH113, PTH114 - names too long for Path
                yield path, (status.st_size, status.st_mtime_ns, status.st_ino)
