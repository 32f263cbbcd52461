"""The road through papermill: `papermill in.ipynb out.ipynb --engine nbprod`.

papermill has read, parameterised and (with `cwd`) changed the directory already. From here on all is as in any run
of nbprod: the contract of the parameters, the supervisor, the truthful metadata, the record. What this road loses
stands in docs/how-to/papermill.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from papermill.engines import NotebookExecutionManager
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import write_ipynb
from papermill.log import logger

from nbprod.execution.events import CellFinished, Event, KernelReady, StreamText
from nbprod.project import Project, Run, RunOptions
from nbprod.record.status import CellStatus
from nbprod.step.step import Step

__all__ = ["execute_for_papermill"]


def execute_for_papermill(nb: Any, kernel_name: str, output_path: str | None, options: Mapping[str, Any]) -> Any:
    """Execute a notebook that papermill has parameterised (see `nbprod.engine`)."""
    project, step = _find(nb, options.get("input_path"))
    about = nb.metadata.get("papermill", {})
    run_options = RunOptions(
        cwd=Path.cwd(),
        kernel=kernel_name,
        cell_timeout=options.get("execution_timeout"),
        start_timeout=options.get("start_timeout"),
    )
    job = project.job(step, dict(about.get("parameters") or {}), run_options)
    job = replace(job, paths=(about.get("input_path"), about.get("output_path")))
    bar = _Progress(nb, progress_bar=options.get("progress_bar", True))
    run = project.run_job(job, listener=_Listener(options, bar))
    executed = nbformat.read(run.notebook, as_version=4)
    bar.cleanup_pbar()
    nb.cells, nb.metadata = executed.cells, executed.metadata
    if not run:
        path = output_path or about.get("output_path")
        if path:
            write_ipynb(nb, path)
        raise _as_papermill(run)
    return nb


def _find(nb: Any, input_path: str | None) -> tuple[Project, Step]:
    """Return the project and the step of a notebook that papermill has read from anywhere."""
    local = Path(input_path) if input_path and os.path.exists(input_path) else None  # noqa: PTH110 - may be a URL
    project = Project.find(None if local is None else local.absolute().parent)
    if local is not None:
        return project, project.step(local)
    name = Path(str(input_path or "notebook")).stem
    return project, project.step_from_bytes(nbformat.writes(nb).encode(), name, Path.cwd())


class _Progress(NotebookExecutionManager):  # type: ignore[misc]
    """papermill's progress bar for a notebook, and nothing else of its manager."""

    def __init__(self, nb: Any, *, progress_bar: Any) -> None:
        super().__init__(nb, output_path=None, progress_bar=progress_bar, autosave_cell_every=0)

    def save(self, **_: Any) -> None:
        """Write nothing: the notebook is written once, when all is known."""


class _Listener:
    """Moves papermill's progress bar, its log and its files for stdout and stderr."""

    def __init__(self, options: Mapping[str, Any], bar: Any) -> None:
        self._bar = bar
        self._log = bool(options.get("log_output"))
        self._files = {"stdout": options.get("stdout_file"), "stderr": options.get("stderr_file")}

    def __call__(self, event: Event) -> None:
        if isinstance(event, KernelReady) and self._bar.pbar is not None:
            self._bar.pbar.reset(total=event.total)  # papermill counts Markdown cells too
        elif isinstance(event, CellFinished) and self._bar.pbar is not None:
            self._bar.pbar.update(1)
        elif isinstance(event, StreamText):
            if self._log:
                logger.info(event.text.rstrip("\n"))
            file = self._files.get(event.name)
            if file is not None:
                file.write(event.text)
                file.flush()


def _as_papermill(run: Run) -> PapermillExecutionError:
    """Return a bad ending as the error that users of papermill know."""
    broken = (CellStatus.FAILED, CellStatus.INTERRUPTED)
    cell = next((outcome for outcome in run.record.verdict.cells if outcome.status in broken), None)
    error = None if cell is None else cell.error
    return PapermillExecutionError(
        cell_index=-1 if cell is None or cell.cell is None else cell.cell,
        exec_count=None if cell is None else cell.execution_count,
        source="",
        ename=str(run.status) if error is None else error.name,
        evalue=run.reason if error is None else error.message,
        traceback=[f"{run.status}: {run.reason}", f"The record: nbprod show {run.id}"],
    )
