"""The journal: every event of a run appended as it happens, so that a killed run keeps what it had.

One JSON object a line (`journal.jsonl` in the run's folder), written with one write(2) and no buffer: what was
written is there when the process is killed. Once a second it is also brought to disk, for power failures.

    {"e":"kernel_ready","at":"2026-…","language_info":{…},"launch":{"how":"started"}}
    {"e":"cell_started","at":"…","p":3,"cell":2}
    {"e":"message","at":"…","p":3,"kind":"stream","content":{…}}
    {"e":"cell_finished","at":"…","p":3,"outcome":{"status":"ok",…}}
    {"e":"note","at":"…","text":"…"}
    {"e":"ended","at":"…","status":null,"reason":"","seconds":1.5}

`p` is the position in the prepared notebook, `cell` the index in the source.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbprod.errors import EnvironmentFault
from nbprod.kernels.wire import loads

__all__ = ["Journal", "read_journal"]

_SYNC_EVERY = 1.0


class Journal:
    """Appends events to the run's journal."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(path, error) from error
        self._path = path
        self._synced = time.monotonic()
        self._dirty = False

    def event(self, name: str, at: datetime, **fields: Any) -> None:
        """Append an event.

        Args:
            name: past tense.
            at: aware, UTC.
            fields: JSON values.
        """
        line = json.dumps({"e": name, "at": at.isoformat(), **fields}).encode("ascii")
        self._write(line + b"\n")

    def message(self, position: int, at: datetime, kind: str, raw: bytes) -> None:
        """Append a kernel's message, its content as the bytes that came."""
        if b"\n" in raw:
            raw = json.dumps(json.loads(raw.decode("utf-8", "surrogatepass"))).encode("ascii")
        head = f'{{"e":"message","at":"{at.isoformat()}","p":{position},"kind":"{kind}","content":'
        self._write(head.encode("ascii") + raw + b"}\n")

    def _write(self, line: bytes) -> None:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._dirty = True

    def sync(self, *, force: bool = False) -> None:
        """Bring the journal to disk if a second has passed since the last time."""
        now = time.monotonic()
        if self._dirty and (force or now - self._synced >= _SYNC_EVERY):
            os.fdatasync(self._descriptor) if hasattr(os, "fdatasync") else os.fsync(self._descriptor)
            self._synced, self._dirty = now, False

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the file."""
        self.close()


def _unwritable(path: Path, error: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        "the run's journal cannot be written",
        found=f"{error.strerror}: {path}",
        hint="Free space or grant the right to write, then run again; what was written so far is kept.",
    )


def parse_line(line: bytes) -> Mapping[str, Any] | None:
    """Return one event; None for a line that was cut off by a kill in the middle of its write."""
    try:
        event: Mapping[str, Any] = loads(line)
    except ValueError:
        try:
            event = json.loads(line.decode("utf-8", "surrogatepass"))
        except ValueError:
            return None
    return event


def read_journal(path: Path) -> Iterator[Mapping[str, Any]]:
    """Return the events of a journal in order; a last line that was cut off is left out."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        for line in stream:
            if (event := parse_line(line)) is not None:
                yield event
