"""Streams cut into whole lines, each with the cell that it comes from."""

from __future__ import annotations

__all__ = ["Lines"]

_WIDTH = 4000  # characters of a line that are handed on


class Lines:
    """Collects text as it comes and gives out whole lines."""

    def __init__(self) -> None:
        self._open: dict[tuple[int | None, str], str] = {}

    def add(self, cell: int | None, stream: str, text: str) -> list[tuple[int | None, str]]:
        """Take text of a cell's stream; return the lines that it completes."""
        *whole, rest = (self._open.pop((cell, stream), "") + text).split("\n")
        if rest:
            # A bar that redraws itself for an hour without a line's end must not be kept whole.
            self._open[cell, stream] = rest[-_WIDTH:] if "\r" in rest else rest
        return [(cell, shown) for line in whole if (shown := _shown(line))]

    def end(self) -> list[tuple[int | None, str]]:
        """Return what has no line's end, and forget it."""
        left = [(cell, shown) for (cell, _), line in self._open.items() if (shown := _shown(line))]
        self._open.clear()
        return left


def _shown(line: str) -> str:
    """Return a line as a terminal would leave it: what a carriage return overwrote is gone."""
    line = line.rstrip("\r").rpartition("\r")[2].rstrip()
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}… ({len(line) - _WIDTH} characters more)"
