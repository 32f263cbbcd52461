"""The Python face: `nbprod.run(...)`, `nbprod.sweep(...)`, `nbprod.runs(...)`, `compare(...)` and `reproduce(...)`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.errors import CallerError, Erased
from nbprod.execution.cancel import CancelToken
from nbprod.execution.events import Listener
from nbprod.ledger import RunQuery, parse_condition
from nbprod.parameters.grid import Axis, expand, listed
from nbprod.project import Project, Run, RunOptions
from nbprod.project.crew import News, run_sweep
from nbprod.project.output import output_at
from nbprod.project.sweep import MOST, plan_sweep
from nbprod.project.swept import Sweep
from nbprod.record.status import Status
from nbprod.scraps import Scrap

if TYPE_CHECKING:
    from nbprod.diff import Comparison, Tolerance
    from nbprod.project.reproduce import Reproduction

__all__ = ["Runs", "compare", "reproduce", "run", "runs", "sweep"]


def run(
    notebook: str | os.PathLike[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    note: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
    kernel: str | None = None,
    timeout: float | None = None,
    cell_timeout: float | None = None,
    start_timeout: float | None = None,
    report_mode: bool = False,
    reuse: bool = False,
    cancel: CancelToken | None = None,
    listener: Listener | None = None,
    project: Project | None = None,
) -> Run:
    """Run a notebook or step and return the finished run, good or bad.

    Args:
        notebook: a path, or a step's name.
        parameters: values for its parameters; an artifact of another run may be handed over as it is.
        output: where to write the executed notebook as well: a path whose folder is there, or an address such as
            `s3://bucket/key`.
        name: a name for people.
        tags: for people, to find it by.
        note: a note for people.
        cwd: working directory; the step's, else the notebook's folder by default.
        kernel: name of the kernel spec.
        timeout: seconds for all cells together.
        cell_timeout: seconds for each cell.
        start_timeout: seconds until the kernel answers.
        report_mode: hide the code in the executed notebook.
        reuse: let an earlier run answer if its request is the same and all that it read is unchanged; the step's
            setting `reuse` says more.
        cancel: stops the run when it is asked to.
        listener: hears of cells and of what they print.
        project: the project; found from the current folder by default.

    Returns:
        The run; `run.raise_for_status()` raises if it did not succeed.

    Raises:
        ParameterError: parameters that do not fit, all faults at once; nothing was started.
        NbprodError: anything else that was refused, or store and ledger out of order.
    """
    project = Project.find() if project is None else project
    options = RunOptions(
        name=name,
        tags=tuple(tags),
        note=note,
        output=None if output is None else output_at(output),
        cwd=None if cwd is None else Path(cwd),
        kernel=kernel,
        timeout=timeout,
        cell_timeout=cell_timeout,
        start_timeout=start_timeout,
        report_mode=report_mode,
        reuse=reuse,
    )
    job = project.job(project.step(notebook), parameters or {}, options)
    return project.run_job(job, cancel=cancel, listener=listener)


def sweep(
    notebook: str | os.PathLike[str],
    grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    parameters: Mapping[str, Any] | None = None,
    *,
    zipped: bool = False,
    jobs: int | None = None,
    fail_fast: bool = False,
    resume: bool | str = False,
    limit: int = MOST,
    output: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    note: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
    kernel: str | None = None,
    timeout: float | None = None,
    cell_timeout: float | None = None,
    start_timeout: float | None = None,
    report_mode: bool = False,
    reuse: bool = False,
    cancel: CancelToken | None = None,
    hear: News | None = None,
    project: Project | None = None,
) -> Sweep:
    """Run a notebook or step with many settings, some at once, and return the finished sweep, good or bad.

    Args:
        notebook: a path, or a step's name.
        grid: values by parameter, of which all combinations are run; or a mapping of values for each run.
        parameters: what is the same for all runs.
        zipped: run the first values of all lists together, then the second ones, instead of all combinations.
        jobs: how many runs at once; as many as there are usable CPUs by default.
        fail_fast: start no more runs once one has ended badly.
        resume: go on with the sweep of this id or name, or with True with the latest that has begun any of these
            settings: only those without a good run are run.
        limit: how many settings there may be.
        output: template for where the executed notebooks are written as well: `out/{alpha}-{seed}.ipynb`.
        name: the sweep's name; eight hex digits by default.
        tags: for people, to find the runs by; the tag `sweep=ID` is added.
        note: a note for people, of each run.
        cwd: working directory; the step's, else the notebook's folder by default.
        kernel: name of the kernel spec.
        timeout: seconds for all cells of a run together.
        cell_timeout: seconds for each cell.
        start_timeout: seconds until a kernel answers.
        report_mode: hide the code in the executed notebooks.
        reuse: let earlier runs answer (see `run`).
        cancel: its first request ends the runs under way, and no more are started; a second one kills them.
        hear: hears of what happens, from the threads that run.
        project: the project; found from the current folder by default.

    Raises:
        ParameterError: parameters that do not fit in any of the settings, with the setting; nothing was started.
        NbprodError: anything else that was refused, or store and ledger out of order.
    """
    project = Project.find() if project is None else project
    options = RunOptions(
        tags=tuple(tags),
        note=note,
        cwd=None if cwd is None else Path(cwd),
        kernel=kernel,
        timeout=timeout,
        cell_timeout=cell_timeout,
        start_timeout=start_timeout,
        report_mode=report_mode,
        reuse=reuse,
    )
    settings = _settings(grid, dict(parameters or {}), zipped=zipped, most=limit)
    plan = plan_sweep(project, project.step(notebook), settings, options, output=output, name=name, resume=resume)
    return run_sweep(project, plan, jobs=jobs, fail_fast=fail_fast, cancel=cancel, hear=hear)


def _settings(
    grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    fixed: Mapping[str, Any],
    *,
    zipped: bool,
    most: int,
) -> list[dict[str, Any]]:
    if isinstance(grid, Mapping):
        settings = expand([Axis(key, listed(key, values)) for key, values in grid.items()], paired=zipped, most=most)
    else:
        settings = expand([], [dict(row) for row in grid], most=most)
    twice = next((key for setting in settings for key in setting if key in fixed), None)
    if twice is not None:
        raise CallerError(f"values for {twice} are given twice", found="in `grid` and in `parameters`")
    return [{**fixed, **setting} for setting in settings]


class Runs:
    """Finished runs, newest first; iterates without holding them all."""

    def __init__(self, project: Project, query: RunQuery) -> None:
        self._project = project
        self._query = query

    def __iter__(self) -> Iterator[Run]:
        """Return the runs."""
        return self._project.runs(self._query)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame: a row per run; parameters and scraps as `parameter.NAME` and `scrap.NAME`.

        Raises:
            CallerError: pandas is not installed.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 - optional
        except ImportError as error:
            raise CallerError("to_frame needs pandas", hint="Install it with `pip install pandas`.") from error
        rows = []
        for entry in self:
            row: dict[str, Any] = {
                "run": str(entry.id),
                "step": entry.step,
                "status": str(entry.status),
                "started": entry.started,
                "seconds": entry.seconds,
            }
            row.update({f"parameter.{key}": value for key, value in entry.parameters.items()})
            scraps = _readable(entry)
            row.update({f"scrap.{s.name}": s.value() for s in scraps if s.encoder in ("json", "text")})
            rows.append(row)
        return pd.DataFrame(rows)


def _readable(entry: Run) -> Iterator[Scrap]:
    """Yield a run's scraps but those that were erased: their places in a table stay empty."""
    for key in entry.scraps:
        with suppress(Erased):
            yield entry.scraps.scrap(key)


def runs(
    step: str | None = None,
    *,
    status: str | Status | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    tags: Sequence[str] = (),
    where: Sequence[str] = (),
    limit: int | None = None,
    project: Project | None = None,
) -> Runs:
    """Return the finished runs that fit, newest first.

    Args:
        step: only this step's.
        status: only those that ended so.
        since: only those started then or later; aware.
        until: only those started before; aware.
        tags: only those with all of these.
        where: conditions such as `scraps.auc>=0.7` or `params.alpha=0.1`.
        limit: at most so many.
        project: the project; found from the current folder by default.
    """
    query = RunQuery(
        steps=() if step is None else (step,),
        statuses=() if status is None else (Status(status),),
        since=since,
        until=until,
        tags=tuple(tags),
        where=tuple(parse_condition(text) for text in where),
        limit=limit,
    )
    return Runs(Project.find() if project is None else project, query)


def compare(
    before: Run | str, after: Run | str, *, tolerance: Tolerance | None = None, project: Project | None = None
) -> Comparison:
    """Compare two runs, and return what differs; nothing is run.

    Args:
        before: the earlier run: itself, or as commands name it (an id, the end of one, a name, `STEP@latest`).
        after: the later one.
        tolerance: for the numbers of scraps; by default 1e-9 of the value for floats, none for whole numbers.
        project: where runs that are named are looked for; found from the current folder by default.

    Raises:
        NotFound: there is no such run.
        IntegrityError: bytes of one are not there, or not what its record says.
    """
    runs = [each if isinstance(each, Run) else (project or Project.find()).run(each) for each in (before, after)]
    return runs[0].diff(runs[1], tolerance=tolerance)


def reproduce(
    run: Run | str | os.PathLike[str],
    *,
    inputs: Mapping[str, str | os.PathLike[str]] | None = None,
    allow_missing: bool = False,
    anyway: bool = False,
    root: str | None = None,
    keys: bytes | None = None,
    strict_environment: bool = False,
    rebuild_environment: bool = False,
    tolerance: Tolerance | None = None,
    keep: bool = False,
    project: Project | None = None,
) -> Reproduction:
    """Execute a run again from what is kept of it, and say how much came out the same.

    Args:
        run: the run, as commands name it, or the path of a bundle.
        inputs: files and folders that were not kept, by the parameter or the path that names them.
        allow_missing: go on without what is not to be had.
        anyway: go on although the run was altered.
        root: the id of the root key that has to vouch for the run; None: the one seen last time, or it is believed.
        keys: a signed list of keys that is trusted, with its root.
        strict_environment: refuse where the environment is not the recorded one.
        rebuild_environment: install the recorded packages into an environment of their own.
        tolerance: for the numbers of scraps (see `compare`).
        keep: leave the folder in which it was executed.
        project: takes the new run; found from the current folder by default.

    Raises:
        NotReproducible: something that it needs is not to be had; the error lists all of it.
        CallerError: a tolerance is of no scrap, or what is given is not what the run read.
        IntegrityError: the run was altered, or bytes of it are not what they were; a root key that was named does not
            vouch for it.
    """
    from nbprod.bundle import open_bundle  # noqa: PLC0415 - rarely needed
    from nbprod.diff import Tolerance  # noqa: PLC0415
    from nbprod.project import reproduce as again  # noqa: PLC0415
    from nbprod.project.origin import origin_of, origins_in  # noqa: PLC0415
    from nbprod.verify import Asked  # noqa: PLC0415

    project = Project.find() if project is None else project
    how = again.How(
        given={name: Path(path) for name, path in (inputs or {}).items()},
        allow_missing=allow_missing,
        anyway=anyway,
        strict_environment=strict_environment,
        rebuild_environment=rebuild_environment,
        tolerance=Tolerance() if tolerance is None else tolerance,
        keep=keep,
    )
    asked = Asked(root=root, keys=keys)
    if isinstance(run, Run) or not Path(run).is_file():
        found = run if isinstance(run, Run) else project.run(os.fspath(run))
        return again.reproduce(project, origin_of(project, found, asked), how)
    with open_bundle(Path(run)) as bundle:
        return again.reproduce(project, origins_in(bundle, project.environ, asked).runs[0], how)
