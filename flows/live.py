"""The demo's display: what goes on now, redrawn on a terminal; elsewhere a line where something ends."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.live import Live as Redrawn
from rich.text import Text

from nbprod.execution.events import CellFinished, CellStarted, KernelReady
from nbprod.flow.watching import Notice
from nbprod.project import Run

_BEAT = 10.0  # seconds between two signs of life where nothing can be redrawn
_BAR = 20


@dataclass
class _Row:
    title: str
    begun: float
    done: int = 0
    total: int = 0
    label: str = ""

    @property
    def text(self) -> str:
        seconds = f"{time.monotonic() - self.begun:4.0f} s"
        if not self.total:
            return f"{self.title:<10} {seconds}  {self.label}"
        full = _BAR * self.done // self.total
        return f"{self.title:<10} {seconds}  {'━' * full}{'╌' * (_BAR - full)} {self.done}/{self.total}  {self.label}"


class Live:
    """Shows what goes on, and keeps the runs that ended. Safe for use by many threads.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self.runs: list[Run] = []
        self._console = console
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._wait: _Row | None = None
        self._beaten = time.monotonic()
        self._redrawn = Redrawn(self, console=console, transient=True, refresh_per_second=8)

    def __rich__(self) -> Text:
        """Return the lines that are redrawn."""
        rows = [self._wait] if self._wait else list(self._rows.values())
        return Text("\n".join(f"  … {row.text.strip()}" for row in rows), style="cyan", no_wrap=True)

    def wait(self, title: str) -> None:
        """Begin something that takes a while; what was waited for before has ended."""
        self.waited()
        self._wait = _Row(title, time.monotonic())
        if not self._console.is_terminal:
            self._print(f"  … {title}")

    def beat(self, _seconds: float = 0.0) -> None:
        """Show that it still goes on."""
        if self._wait and not self._console.is_terminal and time.monotonic() - self._beaten > _BEAT:
            self._print(f"  … {self._wait.title} ({time.monotonic() - self._wait.begun:.0f} s)")

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.waited()
        self._print(f"[bold]{text}[/]")

    def note(self, text: str) -> None:
        """Say something by the way."""
        self._print(f"  {text}", style="yellow")

    def hear(self, notice: Notice) -> None:
        """Show news of a notebook task."""
        with self._lock:
            row = self._rows.setdefault(notice.task, _Row(notice.step, time.monotonic(), label="starting the kernel"))
            match notice.news:
                case KernelReady(total=total):
                    row.total = total
                case CellStarted(label=label):
                    row.label = label
                case CellFinished(done=done):
                    row.done = done
                case Run() as run:
                    self._finish(row, run)
                    self._rows.pop(notice.task)

    def _finish(self, row: _Row, run: Run) -> None:
        self.runs.append(run)
        mark = "[green]✓[/]" if run else "[red]✗[/]"
        cells = f"{row.done} of {row.total} cells"
        told = cells if run.record.of is None else f"answered by run {run.record.of.short}: nothing has changed"
        self._print(f"  {mark} {run.step:<10} {run.seconds:4.0f} s  {told}")
        if not run:
            self._console.print(f"    {run.status}: {run.reason}", style="red", markup=False, soft_wrap=True)

    def waited(self) -> None:
        """Say that what was waited for has come."""
        if self._wait:
            self._print(f"  [green]✓[/] {self._wait.title} [dim]({time.monotonic() - self._wait.begun:.0f} s)[/]")
            self._wait = None

    def _print(self, line: str, style: str | None = None) -> None:
        self._beaten = time.monotonic()
        self._console.print(line, style=style)

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._console.is_terminal:
            self._redrawn.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop drawing."""
        if kind is None:
            self.waited()
        if self._console.is_terminal:
            self._redrawn.stop()
