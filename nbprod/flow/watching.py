"""Following the notebook tasks of a flow from outside: for a terminal, a page, a test."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from nbprod.execution.events import Event
from nbprod.project import Run

__all__ = ["Notice", "Watcher", "tell", "watch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """News of a notebook task.

    Args:
        step: the step's name.
        task: names the call among those of its flow.
        news: None as it begins, then the run's events, the finished run at last.
    """

    step: str
    task: str
    news: Event | Run | None


Watcher = Callable[[Notice], None]
_watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("nbprod_flow_watchers", default=())


@contextmanager
def watch(watcher: Watcher) -> Iterator[None]:
    """Have a watcher hear of all notebook tasks that this context calls or submits, from whatever thread they run in.

    Args:
        watcher: must be quick and safe for use by many threads.
    """
    token = _watchers.set((*_watchers.get(), watcher))
    try:
        yield
    finally:
        _watchers.reset(token)


def tell(notice: Notice) -> None:
    """Tell the context's watchers; one that raises is logged and otherwise without effect."""
    for watcher in _watchers.get():
        try:
            watcher(notice)
        except Exception:
            logging.getLogger(__name__).exception("a watcher of notebook tasks raised")
