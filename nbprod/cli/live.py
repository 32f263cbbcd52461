"""A run as it goes on, for the person who waits: lines of output, and a progress line on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from nbprod.cli.screen import text as escaped
from nbprod.execution.events import CellFinished, CellStarted, Event, KernelReady, StreamText
from nbprod.printable import printable

__all__ = ["Lines", "LiveRun"]


class Lines:
    """Makes whole lines of the pieces in which output comes; of one that was written over (tqdm) the last state."""

    def __init__(self) -> None:
        self._open: dict[tuple[int | None, str], str] = {}

    def add(self, cell: int | None, name: str, text: str) -> list[str]:
        """Take a piece of a cell's stream; return the lines that it completes."""
        *done, rest = (self._open.pop((cell, name), "") + text).split("\n")
        if rest:
            self._open[cell, name] = rest
        return [_last_state(line) for line in done]

    def flush(self, cell: int | None) -> list[tuple[str, str]]:
        """Return the unfinished lines of a cell that has ended, with the streams' names."""
        keys = [key for key in self._open if key[0] == cell]
        return [(name, _last_state(self._open.pop((where, name)))) for where, name in keys]

    def rest(self) -> list[tuple[int | None, str, str]]:
        """Return all unfinished lines: cell, stream, line."""
        left = [(cell, name, _last_state(line)) for (cell, name), line in self._open.items()]
        self._open.clear()
        return left


def _last_state(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


class LiveRun:
    """Listens to a run and shows it on stderr.

    Args:
        console: on stderr.
        lines: show the notebook's output, line by line.
        bar: show a progress line.
        stdout: takes the notebook's stdout as it comes.
        stderr: takes its stderr.
    """

    def __init__(
        self, console: Console, *, lines: bool, bar: bool, stdout: IO[str] | None = None, stderr: IO[str] | None = None
    ) -> None:
        self._console = console
        self._show_lines = lines
        self._lines = Lines()
        self._files = {"stdout": stdout, "stderr": stderr}
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if bar:
            self._progress = Progress(
                TextColumn("[bold]{task.fields[step]}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=console,
                transient=True,
            )

    @contextmanager
    def shown(self, step: str) -> Iterator[None]:
        """Show the progress line while the run goes on."""
        if self._progress is not None:
            with contextlib.suppress(OSError):
                self._progress.start()
            self._task = self._progress.add_task("[dim]starting the kernel[/]", total=None, step=escaped(step))
        try:
            yield
        finally:
            if self._progress is not None:
                with contextlib.suppress(OSError):
                    self._progress.stop()

    def say(self, line: str) -> None:
        """Show a line of our own."""
        with contextlib.suppress(OSError):
            self._console.print(f"[yellow]{escaped(line)}[/]")

    def __call__(self, event: Event) -> None:
        """Hear of an event.

        That nobody looks any more (a pipe whose reader has gone, a terminal that was closed) is no reason to end a run.
        """
        try:
            self._show(event)
        except OSError:
            self._show_lines = False

    def _show(self, event: Event) -> None:
        if isinstance(event, StreamText):
            self._stream(event)
        elif isinstance(event, CellFinished):
            for name, line in self._lines.flush(event.outcome.cell):
                self._print(event.outcome.cell, name, [line])
            self._update(completed=event.done, total=event.total)
        elif isinstance(event, CellStarted):
            where = "parameters" if event.cell is None else f"cell {event.cell}"
            label = "" if event.cell is None or not event.label else f"  [dim]{escaped(event.label)}[/]"
            self._update(completed=event.done, total=event.total, description=f"{where}{label}")
        elif isinstance(event, KernelReady):
            self._update(total=event.total, description="")

    def _update(self, *, total: int, completed: int | None = None, description: str | None = None) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=total, completed=completed, description=description)

    def _stream(self, event: StreamText) -> None:
        file = self._files.get(event.name)
        if file is not None:
            try:
                file.write(event.text)
                file.flush()
            except OSError as error:
                self._files[event.name] = None
                self.say(f"The notebook's {event.name} is no longer written to its file: {error.strerror}")
        if self._show_lines:
            self._print(event.cell, event.name, self._lines.add(event.cell, event.name, event.text))

    def _print(self, cell: int | None, name: str, lines: list[str]) -> None:
        if not lines or not self._show_lines:
            return
        mark = "[p]" if cell is None else f"[{cell}]"
        shown = Text()
        for place, line in enumerate(lines):
            shown.append("\n" if place else "").append(f"{mark} ", "dim")
            shown.append(printable(line, instead=""), "yellow" if name == "stderr" else "")
        self._console.print(shown, soft_wrap=True)
