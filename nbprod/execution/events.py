"""What a run tells its caller while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nbprod.record.verdict import CellOutcome

__all__ = ["CellFinished", "CellStarted", "Event", "KernelReady", "Listener", "StreamText"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelReady:
    """The kernel answers.

    Args:
        seconds: since it was launched.
        total: code cells that are to run.
    """

    seconds: float
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStarted:
    """A code cell was sent to the kernel.

    Args:
        cell: index in the source notebook, None for the injected parameters.
        label: its heading or description, empty if it has none.
        done: code cells that have ended before it.
        total: code cells that are to run.
    """

    cell: int | None
    label: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamText:
    """Text on a cell's stdout or stderr, as it came (not split by lines)."""

    cell: int | None
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFinished:
    """A code cell has ended."""

    outcome: CellOutcome
    done: int
    total: int


Event = KernelReady | CellStarted | StreamText | CellFinished
Listener = Callable[[Event], None]
