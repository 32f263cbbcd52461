"""A line on a terminal that counts while a command works; nothing where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn

from nbprod.cli.screen import errors

__all__ = ["counting"]


@contextmanager
def counting(*what: str) -> Iterator[tuple[Callable[[int], None], ...]]:
    """Show on stderr how many of some things are done; yield, for each, what is to be told the number."""
    console = errors()
    if not console.is_terminal:
        yield tuple(_ignored for _ in what)
        return
    columns = (TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = [progress.add_task(each, total=None, visible=False) for each in what]
        yield tuple(partial(_shown, progress, task) for task in tasks)


def _ignored(_count: int) -> None:
    """Nobody watches."""


def _shown(progress: Progress, task: TaskID, count: int) -> None:
    progress.update(task, completed=count, visible=True)
