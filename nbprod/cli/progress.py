"""A line on a terminal that counts while a command works; nothing where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress, TextColumn, TimeElapsedColumn

from nbprod.cli.screen import errors

__all__ = ["counting"]


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many of something are done; yield what is to be told the number."""
    console = errors()
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.update(task, completed=count)
