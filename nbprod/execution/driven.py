"""What the driver is told of time, and what it tells when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbprod.record.status import Status
from nbprod.record.verdict import CellOutcome

__all__ = ["Deadlines", "Driven", "Ending", "NeverLaunched", "Stop", "Stopped"]


class NeverLaunched(Exception):
    """A kernel that was to be forked never came into being: nothing has run, and it may be launched otherwise.

    Args:
        why: in words.
        refused: whether the server said so, and is well.
    """

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long things may take, in seconds; None: for ever.

    Args:
        start: until the kernel answers.
        cell: each cell.
        run: all cells together, from when the kernel is ready.
        grace: between the interrupt and the kill.
    """

    start: float = 60.0
    cell: float | None = None
    run: float | None = None
    grace: float = 5.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the execution ended before the last cell was through: a status of law 2 and its reason."""

    status: Status
    reason: str


class Stopped(Exception):
    """The execution ends here.

    Args:
        stop: why.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self.stop = stop


@dataclass(slots=True)
class Ending:
    """An interrupt under way.

    Args:
        stop: why.
        kill_at: when the kill follows, by the monotonic clock.
    """

    stop: Stop
    kill_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What came of driving: outcomes of all code cells and, unless all went well, why it stopped."""

    cells: tuple[CellOutcome, ...]
    stop: Stop | None
    language_info: dict[str, Any] | None
