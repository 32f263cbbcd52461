"""What a run printed: from its folder while it runs, from the stored journal afterwards."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from nbprod.errors import EnvironmentFault
from nbprod.execution.journal import parse_line
from nbprod.ledger import RunRow
from nbprod.project.home import Home
from nbprod.record.ids import RunId
from nbprod.record.run_record import RunRecord
from nbprod.runner.started import RunFolder

__all__ = ["CellEnded", "Printed", "watch"]

_LOOK_EVERY = 0.1
"""Seconds between two looks at a journal that grows."""
_ASK_EVERY = 1.0
"""Seconds between two questions to the ledger whether the run has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """Text that a cell put out, as it came (not split by lines).

    Args:
        cell: index in the source notebook, None for the injected parameters.
        name: `stdout`, `stderr`, or `error` for an exception's trace.
        text: the text.
        at: when it came; aware, UTC.
    """

    cell: int | None
    name: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEnded:
    """A cell has ended: its unfinished line is finished now."""

    cell: int | None
    at: datetime


def watch(home: Home, run_id: RunId, *, follow: bool) -> Iterator[Printed | CellEnded]:
    """Yield what a run printed, in order.

    Args:
        home: the project's place.
        run_id: the run.
        follow: wait for more until the run has ended.

    Raises:
        NotFound: the run was never started.
        EnvironmentFault: it runs on another machine.
    """
    row = home.ledger.run(run_id)
    if row.record is not None:
        yield from _stored(home, row)
        return
    path = RunFolder(Path(row.folder)).journal
    stream = _open(home, row, path, follow=follow)
    if stream is None:
        ended = home.ledger.run(run_id)
        if ended.record is not None:  # it ended before it was found
            yield from _stored(home, ended)
        return
    cells: dict[int, int | None] = {}
    with stream:
        for line in _lines(stream, home, run_id, follow=follow):
            if (event := parse_line(line)) is not None:
                yield from _heard(event, cells)


def _stored(home: Home, row: RunRow) -> Iterator[Printed | CellEnded]:
    assert row.record is not None  # noqa: S101 - asked before
    record = RunRecord.from_bytes(home.read(row.record, row.run_id))
    cells: dict[int, int | None] = {}
    for line in home.read(record.journal.digest, record.run_id).splitlines():
        if (event := parse_line(line)) is not None:
            yield from _heard(event, cells)


def _open(home: Home, row: RunRow, path: Path, *, follow: bool) -> IO[bytes] | None:
    """Open the journal of a run that goes on; None once it has ended, or when there is none yet."""
    if row.host != socket.gethostname() and not path.parent.is_dir():
        raise EnvironmentFault(
            f"run {row.run_id} goes on elsewhere",
            expected="a run of this machine, or one that has ended",
            found=f"a run on {row.host}",
            hint="Wait until it has ended: its output is stored then.",
        )
    while True:
        try:
            return path.open("rb")
        except FileNotFoundError:
            if not follow or home.ledger.run(row.run_id).status is not None:
                return None
        time.sleep(_LOOK_EVERY)


def _lines(stream: IO[bytes], home: Home, run_id: RunId, *, follow: bool) -> Iterator[bytes]:
    """Yield whole lines; the file may be unlinked meanwhile, which an open one survives."""
    rest = b""
    asked = time.monotonic()
    ended = not follow
    while True:
        piece = stream.read(1 << 20)
        if piece:
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        elif ended:
            return
        else:
            time.sleep(_LOOK_EVERY)
            if time.monotonic() - asked >= _ASK_EVERY:
                asked = time.monotonic()
                ended = home.ledger.run(run_id).status is not None  # one more look at the file, then it is over


def _heard(event: Mapping[str, Any], cells: dict[int, int | None]) -> Iterator[Printed | CellEnded]:
    at = datetime.fromisoformat(event["at"])
    position = event.get("p", -1)
    if event["e"] == "cell_started":
        cells[position] = event.get("cell")
    elif event["e"] == "cell_finished":
        yield CellEnded(cell=cells.get(position), at=at)
    elif event["e"] == "message":
        content = event["content"]
        if event["kind"] == "stream":
            yield Printed(cell=cells.get(position), name=str(content["name"]), text=str(content["text"]), at=at)
        elif event["kind"] == "error":
            trace = "\n".join(content.get("traceback") or [f"{content.get('ename')}: {content.get('evalue')}"])
            yield Printed(cell=cells.get(position), name="error", text=f"{trace}\n", at=at)
