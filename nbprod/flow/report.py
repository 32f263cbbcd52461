"""Telling Prefect how a run goes: log lines and progress while it does, then a page, a table and figures.

Nothing here may fail or hold up a run: a request is tried once, and where Prefect's API doesn't answer, the rest is
left out. The end is told anew: by then it may be back.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.flow_engine import FlowRunTimeoutError
from prefect.logging import get_run_logger

from nbprod.execution.events import CellFinished, CellStarted, Event, KernelReady, StreamText
from nbprod.flow.assets import note_assets
from nbprod.flow.figures import figures_of
from nbprod.flow.lines import Lines
from nbprod.flow.page import page_of, scraps_of
from nbprod.flow.patience import brief
from nbprod.flow.states import notebook_url
from nbprod.project import Run

__all__ = ["Report"]

# Called with `_sync=True`, which their types don't tell: else they return coroutines inside an async flow.
_page_artifact: Any = create_markdown_artifact
_link_artifact: Any = create_link_artifact
_table_artifact: Any = create_table_artifact
_image_artifact: Any = create_image_artifact
_new_progress: Any = create_progress_artifact
_move_progress: Any = update_progress_artifact

_PROGRESS_EVERY = 1.0  # seconds between two updates of the progress artifact, and before there is one
_LINES_LIMIT = 5000
"""Lines per run that are handed to Prefect, whose log is no place for more; the executed notebook has them all."""


class Report:
    """One run's report to Prefect.

    Args:
        step: the step's name.
    """

    def __init__(self, step: str) -> None:
        self._step = step
        self._key = re.sub(r"[^a-z0-9]+", "-", step.lower()).strip("-") or "notebook"
        self._lines = Lines()
        self._told = 0
        self._progress: UUID | None = None
        self._ready: float | None = None  # when the kernel was, until there is a progress artifact
        self._done, self._total = 0, 1
        self._updated = 0.0
        self._belongs = TaskRunContext.get() is not None  # artifacts belong to a task run
        self._mute = False
        try:
            self._log: Any = get_run_logger()
        except MissingContextError:
            self._log = logging.getLogger(__name__)

    def hear(self, event: Event) -> None:
        """Pass an event on."""
        match event:
            case KernelReady():
                self._log.info("%s: kernel ready after %.1f s, %d cells", self._step, event.seconds, event.total)
                self._ready = time.monotonic()
            case CellStarted():
                self._log.debug("cell %s started: %s", _name(event.cell), event.label)
            case StreamText():
                self._say(self._lines.add(event.cell, event.name, event.text))
            case CellFinished():
                self._say(self._lines.end())
                self._done, self._total = event.done, event.total
                now = time.monotonic()
                if event.done == event.total or now - self._updated >= _PROGRESS_EVERY:
                    self._updated = now
                    self._tell(lambda: self._advance(event.done, event.total))

    def tick(self) -> None:
        """Show how far the run is, once it has taken long enough for somebody to look; called some times a second."""
        now = time.monotonic()
        if self._progress is None and self._ready is not None and now - self._ready >= _PROGRESS_EVERY:
            self._ready, self._updated = None, now
            self._tell(self._begin)
            self._tell(lambda: self._advance(self._done, self._total))

    def finish(self, run: Run, *, hurry: bool = False) -> None:
        """Leave the page about the finished run, and what goes with it.

        Args:
            run: the finished run.
            hurry: leave out what can be looked up elsewhere: the process has been told to stop.
        """
        self._say(self._lines.end())
        self._mute = False
        self._tell(lambda: note_assets(run))
        url = notebook_url(run)
        link, text = f"{self._key}-notebook", f"executed notebook of run {run.id.short}"
        self._tell(lambda: _link_artifact(url, link_text=text, key=link, description=repr(run), _sync=True))
        if hurry:
            return
        figures = figures_of(run)
        page = page_of(run, left_out=figures.left_out)
        self._tell(lambda: _page_artifact(page, key=self._key, description=repr(run), _sync=True))
        rows = scraps_of(run)
        if rows:
            key = f"{self._key}-scraps"
            self._tell(lambda: _table_artifact(rows, key=key, description=f"Scraps of {run!r}", _sync=True))
        for number, figure in enumerate(figures.shown, 1):
            self._tell(functools.partial(self._show, number, figure.url, run))

    def _show(self, number: int, url: str, run: Run) -> None:
        described = f"Figure {number} of {run!r}"
        _image_artifact(url, key=f"{self._key}-figure-{number}", description=described, _sync=True)

    def _say(self, lines: list[tuple[int | None, str]]) -> None:
        for cell, line in lines:
            self._told += 1
            if self._told <= _LINES_LIMIT:
                self._log.info("[%s] %s", _name(cell), line)
            elif self._told == _LINES_LIMIT + 1:
                self._log.warning("more than %d lines: the rest is in the executed notebook only", _LINES_LIMIT)

    def _begin(self) -> None:
        made = _new_progress(0.0, key=f"{self._key}-progress", description=self._step, _sync=True)
        self._progress = made if isinstance(made, UUID) else None

    def _advance(self, done: int, total: int) -> None:
        if self._progress is not None:
            text = f"{self._step}: {done} of {total} cells"
            _move_progress(self._progress, 100.0 * done / max(total, 1), description=text, _sync=True)

    def _tell(self, what: Callable[[], object]) -> None:
        if self._mute or not self._belongs:
            return
        try:
            with brief():
                what()
        except FlowRunTimeoutError:
            raise  # an alarm of the flow's that happened to go off in here
        except Exception as error:  # noqa: BLE001 - whatever Prefect's API raises, the run goes on
            self._mute = True
            self._log.warning("Prefect takes no artifacts, the rest is left out: %s: %s", type(error).__name__, error)


def _name(cell: int | None) -> str:
    return "parameters" if cell is None else f"cell {cell}"
