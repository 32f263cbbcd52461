"""A sweep as it goes on: a table on a terminal, else a line per run that has ended."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from nbprod.cli.screen import table
from nbprod.cli.screen import text as escaped
from nbprod.cli.sweep_table import point_status, setting_text, short_reason
from nbprod.cli.values import brief, duration
from nbprod.execution.events import CellFinished, CellStarted, Event, KernelReady
from nbprod.project.swept import Point

__all__ = ["LiveSweep"]

_ROUND_IT = 4
"""Lines of the terminal that the table leaves to its heads and to what stands above it."""
_PER_SECOND = 4
_CELL = 24


@dataclass(slots=True)
class _Row:
    """What is shown of a setting."""

    point: Point
    began: float | None = None
    doing: str = ""


class LiveSweep:
    """Hears of a sweep's runs and shows them on stderr.

    Args:
        console: on stderr.
        title: the step and the sweep.
        points: the settings before anything has started.
        names: the parameters that vary.
        live: show a table that changes; else a line for each run that has ended.
    """

    def __init__(
        self, console: Console, title: str, points: Sequence[Point], names: Sequence[str], *, live: bool
    ) -> None:
        self._console = console
        self._title = title
        self._names = tuple(names)
        self._lock = threading.Lock()
        self._rows = {point.number: _Row(point) for point in points}
        self._ended = 0
        self._began = time.monotonic()
        self._live: Live | None = None
        if live:
            self._live = Live(
                get_renderable=self._shown, console=console, refresh_per_second=_PER_SECOND, transient=True
            )

    @property
    def points(self) -> tuple[Point, ...]:
        """What is known of each setting."""
        with self._lock:
            return tuple(row.point for row in self._rows.values())

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while the sweep goes on."""
        if self._live is None:
            yield
            return
        with contextlib.suppress(OSError):
            self._live.start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._live.stop()

    def say(self, line: str) -> None:
        """Show a line of our own."""
        with contextlib.suppress(OSError):
            self._console.print(f"[yellow]{escaped(line)}[/]")

    def __call__(self, point: Point, event: Event | None) -> None:
        """Hear of a setting that has changed, or of what its run does. That nobody looks any more is no fault."""
        with self._lock:
            row = self._rows[point.number]
            if event is not None:
                row.doing = _doing(event, row.doing)
                return
            row.point = point
            if point.state == "running":
                row.began = time.monotonic()
            over = point.state not in ("running", "not_started") or point.error is not None
            self._ended += over
        if over and not point.kept and self._live is None:
            self._print(point)

    def _print(self, point: Point) -> None:
        took = "" if point.run is None else f"  {duration(point.run.seconds)}"
        why = "" if point else f"  [dim]{escaped(short_reason(point))}[/]"
        setting = escaped(setting_text(point.values, self._names))
        with contextlib.suppress(OSError):
            self._console.print(
                f"[{self._ended}/{len(self._rows)}]".replace("[", r"\[")
                + f" {point_status(point)}  {setting}{took}{why}"
            )

    # --- the table -----------------------------------------------------------------------------

    def _shown(self) -> RenderableType:
        with self._lock:
            rows = [_Row(row.point, row.began, row.doing) for row in self._rows.values()]
        now = time.monotonic()
        chosen = _chosen(rows, self._console.height - _ROUND_IT)
        heads = [escaped(name) for name in self._names]
        made = table(*heads, "status", "took", "", right=("took",))
        for column in made.columns:
            column.no_wrap = True
        for row in chosen:
            values = row.point.values
            cells = [escaped(brief(values[name], _CELL)) if name in values else "" for name in self._names]
            status = "[dim]· waiting[/]" if row.point.state == "not_started" else point_status(row.point)
            made.add_row(*cells, status, _took(row, now), _news(row))
        numbers = {row.point.number for row in chosen}
        left = [
            "waiting" if row.point.state == "not_started" else row.point.state
            for row in rows
            if row.point.number not in numbers
        ]
        counted = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in Counter(left).most_common())
        below = [Text(f"and {len(left):,} more: {counted}", "dim")] if left else []
        return Group(self._head([row.point for row in rows], now), made, *below)

    def _head(self, points: Sequence[Point], now: float) -> Text:
        good = sum(map(bool, points))
        bad = sum(point.state not in ("running", "not_started") for point in points) - good
        head = Text.from_markup(f"[bold]{escaped(self._title)}[/]  ")
        head.append(f"{good + bad} of {len(points)} done")
        if bad:
            head.append(f", {bad} ended badly", "red")
        return head.append(f"  {duration(now - self._began)}", "dim")


def _doing(event: Event, before: str) -> str:
    if isinstance(event, KernelReady):
        return f"0/{event.total}"
    if isinstance(event, CellStarted):
        label = f"  {event.label}" if event.label else ""
        return f"{event.done}/{event.total}{label}"
    if isinstance(event, CellFinished):
        return f"{event.done}/{event.total}"
    return before


def _took(row: _Row, now: float) -> str:
    if row.point.run is not None:
        return duration(row.point.run.seconds)
    return duration(now - row.began) if row.began is not None and row.point.state == "running" else ""


def _news(row: _Row) -> str:
    if row.point.state == "running":
        return f"[dim]{escaped(row.doing or 'starting the kernel')}[/]"
    return f"[dim]{escaped(short_reason(row.point))}[/]"


_FIRST = {"running": 0, "not_started": 3}


def _chosen(rows: Sequence[_Row], most: int) -> list[_Row]:
    """Return the rows that are shown where not all fit: those under way, bad ones, good ones, waiting ones."""
    if len(rows) <= most:
        return list(rows)

    def rank(row: _Row) -> tuple[int, int]:
        state = row.point.state
        kind = _FIRST.get(state, 2 if row.point else 1)
        return kind, row.point.number if kind in (0, 3) else -row.point.number  # of those that ended, the latest

    best = sorted(rows, key=rank)[: max(1, most - 1)]
    return sorted(best, key=lambda row: row.point.number)
