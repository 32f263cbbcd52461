"""Running again what was run before: one run, or those of a flow run from a step on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.errors import CallerError, NotFound
from nbprod.ledger import Order, RunQuery
from nbprod.notebook import OUTPUT_DIR
from nbprod.project.project import Project, RunOptions
from nbprod.project.run import ArtifactFile, Run
from nbprod.publish import frozen_step
from nbprod.record.ids import RunId
from nbprod.reproduce.job import recorded_settings, recorded_step
from nbprod.runner import Job
from nbprod.step.step import Step

__all__ = ["Again", "flow_run_of", "rerun_flow_run", "rerun_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What became of one run of a flow run.

    Args:
        before: as it was.
        now: the new run; None where the old one was good and nothing upstream of it changed.
    """

    before: Run
    now: Run | None


def rerun_job(project: Project, run: Run, *, replaced: Mapping[RunId, Run] | None = None) -> Job:
    """Return a job that asks for what a run asked for: its own source, values, limits and contract.

    Files and modules are those that lie there now; `nbprod explain` tells whether they are as they were.

    Args:
        project: where it will run.
        run: the run.
        replaced: runs whose artifacts take the place of those that the run was handed.

    Raises:
        NotFound: an upstream artifact that a new run did not leave.
        Erased: the source, or an upstream artifact, was erased.
        IntegrityError: the source is not in the store any more.
    """
    step = _step(project, run)
    values: dict[str, Any] = {}
    for name in run.record.request.given:
        if name != OUTPUT_DIR:
            values[name] = _replaced(run.parameters[name], replaced or {})
    return project.job(step, values, RunOptions(retry_of=run.id, note=f"again, as run {run.id}"))


def _step(project: Project, run: Run) -> Step:
    request = run.record.request
    if request.published is not None:
        trees = project.home.folder / "steps"
        return frozen_step(request.notebook, request.published, store=project.home.store, trees=trees)
    data = project.home.read(run.record.source_file.digest, run.id)
    path = project.root / request.notebook
    known = project.settings.steps.get(run.step)
    folder = path.parent if known is None or known.cwd is None else project.root / known.cwd
    there = path if path.is_file() else None
    where = folder if folder.is_dir() else project.root
    return recorded_step(run.record, data, path=there, folder=where, settings=recorded_settings(request))


def _replaced(value: Any, replaced: Mapping[RunId, Run]) -> Any:
    if isinstance(value, ArtifactFile) and value.upstream.run in replaced:
        return replaced[value.upstream.run].artifacts[value.name]
    return value


def flow_run_of(project: Project, text: str) -> str | None:
    """Return the flow run that a text names, by its id or its name; None if there is none."""
    if not project.home.has_ledger():
        return None
    ledger = project.home.ledger
    if next(ledger.runs(RunQuery(flow_run=text, limit=1)), None) is not None:
        return text
    named = (row.flow_run for row in ledger.runs(RunQuery(text=f"flow run {text} (")) if row.flow_run is not None)
    return next(named, None)


def rerun_flow_run(
    project: Project,
    flow_run: str,
    execute: Callable[[Job], Run],
    *,
    first: str | None = None,
    failed: bool = False,
) -> Iterator[Again]:
    """Run again the runs of a flow run that are asked for, and all that depend on them; keep the rest.

    What the flow never came to is not in the ledger and cannot be run from here.

    Args:
        project: where they were run.
        flow_run: its id.
        execute: runs a job.
        first: the step from which on to run.
        failed: run what did not end well.

    Raises:
        CallerError: neither or both are asked for, or no run fits.
    """
    if (first is None) is not failed:
        raise CallerError(
            "what of the flow run is to be run again?", expected="either a step to start from, or those that failed"
        )
    runs = _last_attempts(project.runs(RunQuery(flow_run=flow_run, order=Order("started", descending=False))))
    if first is not None and all(run.step != first for run in runs):
        steps = ", ".join(dict.fromkeys(run.step for run in runs)) or "none"
        raise NotFound(f"flow run {flow_run} has no run of step {first!r}", expected=f"one of its steps: {steps}")
    replaced: dict[RunId, Run] = {}
    for run in runs:
        upstream = {entry.run for entry in run.record.request.inputs if entry.run is not None}
        if not (upstream & replaced.keys() or run.step == first or (failed and not run)):
            yield Again(before=run, now=None)
            continue
        again = execute(rerun_job(project, run, replaced=replaced))
        replaced[run.id] = again
        yield Again(before=run, now=again)
        if not again:
            return


def _last_attempts(runs: Iterator[Run]) -> list[Run]:
    """Leave out the attempts that were tried again."""
    found = list(runs)
    tried = {run.home.ledger.run(run.id).retry_of for run in found}
    return [run for run in found if run.id not in tried]
