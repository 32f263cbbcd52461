"""Executing a run again from what is kept of it, in a place of its own, and comparing the two."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from nbprod.diff import Comparison, Level, Reached, Tolerance, compare, reached
from nbprod.digest import Json
from nbprod.errors import IntegrityError, NotFound, NotReproducible
from nbprod.execution.cancel import CancelToken
from nbprod.execution.events import Listener
from nbprod.kernels.spec import KernelSpec, find_kernel_spec
from nbprod.ledger.events import RunReproduced
from nbprod.notebook import source_digest
from nbprod.project.diff import side_of
from nbprod.project.foreign import BUNDLE
from nbprod.project.origin import PROJECT, Origin
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.project.settings import read_settings
from nbprod.publish import frozen_step
from nbprod.record.compare import Difference, compare_environments
from nbprod.record.ids import RunId
from nbprod.record.reproduced import Reproduced
from nbprod.reproduce.job import job_of, recorded_settings, recorded_step
from nbprod.reproduce.needs import folder_of, is_inside, needs_of, unpinned_of
from nbprod.reproduce.surroundings import variables
from nbprod.reproduce.tree import Laid, below, find, lay, listings_that_differ
from nbprod.reproduce.virtual import make_environment, spec_in
from nbprod.runner import Job, Ports, Runner
from nbprod.runner.ports import local_zone
from nbprod.runner.signed import keep_signed_statement
from nbprod.runner.values import missing_secrets
from nbprod.step.step import Step, StepSettings
from nbprod.verify import Conclusion

__all__ = ["How", "Reproduction", "project_at", "reproduce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a run is to be executed again.

    Args:
        given: files and folders by the parameter, or the path, that names them: for what was not kept.
        allow_missing: go on without what is not to be had.
        anyway: go on although the run was altered.
        strict_environment: refuse where the environment is another.
        rebuild_environment: make the recorded environment anew, from the names and versions in the record.
        builds: the packages that may be built from their sources for it, which runs code of theirs.
        tolerance: how far apart two scraps may be.
        keep: leave the folder in which it was executed.
    """

    given: Mapping[str, Path] = field(default_factory=dict)
    allow_missing: bool = False
    anyway: bool = False
    strict_environment: bool = False
    rebuild_environment: bool = False
    builds: tuple[str, ...] = ()
    tolerance: Tolerance = field(default_factory=Tolerance)
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of executing a run again.

    Args:
        stated: what is stated of it, as it is kept.
        run: the new run.
        comparison: the two, part by part.
        reached: how far the new run came, and why no farther.
        folder: where it was executed; None: that is removed.
    """

    stated: Reproduced
    run: Run
    comparison: Comparison
    reached: Reached
    folder: Path | None = None

    @property
    def level(self) -> int | None:
        """How much came out the same, 0 to 3; None: not even the ending did."""
        return self.stated.level

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        compared = {"comparison": self.comparison.to_json(), "why_not": list(self.reached.why_not)}
        return {**self.stated.to_json(), **compared, "folder": None if self.folder is None else str(self.folder)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """The kernel spec that is used, and in what its environment differs from the first run's."""

    spec: KernelSpec
    differences: tuple[Difference, ...]
    rebuilt: bool


def reproduce(
    project: Project,
    origin: Origin,
    how: How | None = None,
    *,
    cancel: CancelToken | None = None,
    listener: Listener | None = None,
    on_ready: Callable[[Job], None] | None = None,
) -> Reproduction:
    """Execute a run again and compare: everything that can be refused is refused before a kernel is started.

    The new run is one of the project's own, in its ledger and signed by its key.

    Args:
        project: takes the new run.
        origin: the run.
        how: what is to be done where something is not as it was.
        cancel: stops the new run when it is asked to.
        listener: hears of cells and of what they print.
        on_ready: hears the job once nothing can refuse it any more.

    Raises:
        IntegrityError: the run was altered, or bytes of it are not what they were.
        NotReproducible: something that it needs is not to be had; the error lists all of it.
        Erased: the source notebook was erased.
        CallerError: what was given is not what the run read; its kernel is not here.
    """
    how = how or How()
    _refuse_altered(origin, anyway=how.anyway)
    trace, data = origin.trace, origin.side.read(origin.record.source_file.digest)
    needs = needs_of(origin.record, trace)
    found, absent = find(needs, origin.store, lies=origin.lies, given=how.given)
    key = origin.environment
    zone = origin.record.timezone
    tree = Path(tempfile.mkdtemp(prefix="nbprod-reproduce-")).resolve()
    try:
        environ = variables(key, zone, local_zone(), project.environ, root=origin.lies or project.root, tree=tree)
        ports = project.ports_in(tree, environ, zone)
        settings = _settings(project, origin)
        missing = _missing(settings, ports, () if how.allow_missing else tuple(map(str, absent)))
        if missing and how.rebuild_environment:  # nothing is installed for a run that cannot be executed
            _refuse(origin, missing)
        kernel = _kernel(project, origin, key, ports, how)
        if how.strict_environment:
            missing += tuple(f"{each}; make it anew: --rebuild-env" for each in kernel.differences)
        if missing:
            _refuse(origin, missing)
        laid = lay(found, origin.store, tree)
        notes = (*_told(origin, settings), *laid.notes, *unpinned_of(trace), *listings_that_differ(trace, tree))
        job = job_of(origin.record, _step(origin, data, laid, settings), laid)
        job = replace(job, spec=kernel.spec, caller={} if origin.bundle is None else {BUNDLE: origin.bundle})
        _keep_handed(project, job, laid)
        if on_ready is not None:
            on_ready(job)
        run = Run(Runner(ports).run(job, cancel=cancel, listener=listener), project.home)
    finally:
        if not how.keep:
            shutil.rmtree(tree, ignore_errors=True)
    comparison = compare(
        origin.side,
        replace(side_of(run), places={str(tree): PROJECT}),
        tolerance=how.tolerance,
    )
    far = reached(comparison)
    again = _Again(origin=origin, run=run, tree=tree, kernel=kernel, missing=tuple(map(str, absent)), notes=notes)
    stated = _stated(project, again, comparison, far)
    return Reproduction(stated, run, comparison, far, tree if how.keep else None)


def project_at(folder: Path, environ: Mapping[str, str]) -> Project:
    """Return the project of a folder that takes the runs of a bundle; made where there is none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    return Project(root, read_settings(root, environ), environ)


def _refuse_altered(origin: Origin, *, anyway: bool) -> None:
    if origin.verification.conclusion is Conclusion.ALTERED and not anyway:
        faults = [check.told for check in origin.verification.checks if check.means is Conclusion.ALTERED]
        raise IntegrityError(
            f"run {origin.record.run_id} was altered, and is not executed again",
            found="; ".join(faults),
            hint="See `nbprod verify`. To execute what is there all the same: --anyway",
        )


def _settings(project: Project, origin: Origin) -> StepSettings:
    settings = recorded_settings(origin.record.request, origin.lies or project.root, foreign=origin.lies is None)
    return replace(settings, trace=True, keep_inputs=project.settings.keep_inputs)


def _missing(settings: StepSettings, ports: Ports, absent: tuple[str, ...]) -> tuple[str, ...]:
    """Return, in words, all that is not to be had."""
    unset = missing_secrets(settings.secrets, environ=ports.environ, root=ports.root, block=ports.block)
    return (*absent, *(f"secret {each}" for each in unset))


def _refuse(origin: Origin, missing: tuple[str, ...]) -> NoReturn:
    """Refuse with all that is missing at once."""
    raise NotReproducible(
        f"run {origin.record.run_id} cannot be executed again as it was, and nothing was started",
        missing,
        hint="Give what is missing as each line says; to go on without files: --allow-missing",
    )


def _told(origin: Origin, settings: StepSettings) -> Iterator[str]:
    """Tell what is to be said of the run, and of the secrets that the notebook gets: it need not be one's own."""
    yield from origin.notes
    if settings.secrets:
        yield f"the notebook was handed the secrets {', '.join(f'{each.name} ({each})' for each in settings.secrets)}"


def _kernel(project: Project, origin: Origin, key: Mapping[str, Any], ports: Ports, how: How) -> _Kernel:
    request, rebuild = origin.record.request, how.rebuild_environment
    installed: KernelSpec | None = None
    try:
        installed = find_kernel_spec(request.kernel)
    except NotFound:
        if not rebuild:
            raise
    spec = installed
    if rebuild:
        folder = _cache(project.environ) / request.environment.hex
        uv = shutil.which("uv", path=project.environ.get("PATH"))
        made = make_environment(key, folder, project.environ, uv=uv, builds=how.builds)
        spec = spec_in(made.python, request.kernel, key, installed)
    assert spec is not None  # noqa: S101 - else it was raised
    now = ports.probe.environment_of(spec.python, spec.to_json(), ports.environ)
    return _Kernel(
        spec=spec,
        differences=compare_environments(key, now.key.to_json()),
        rebuilt=rebuild,
    )


def _keep_handed(project: Project, job: Job, laid: Laid) -> None:
    """Keep the artifacts that the run is handed: of a bundle they may be in no store of this project yet (law 3)."""
    for name, each in job.upstream.items():
        if name in laid.places and not project.home.store.has(each.digest):
            project.home.store.put_as(laid.places[name], each.digest)


def _cache(environ: Mapping[str, str]) -> Path:
    """Return where environments are kept that were made anew (XDG Base Directory Specification)."""
    home = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", tempfile.gettempdir()), ".cache")  # noqa: PTH118
    return Path(home) / "nbprod" / "environments"


def _step(origin: Origin, data: bytes, laid: Laid, settings: StepSettings) -> Step:
    """Return the step as it was, in the tree."""
    record, request = origin.record, origin.record.request
    settings = replace(settings, roots=laid.roots)
    if request.published is not None:
        trees = laid.tree / ".nbprod" / "steps"
        trees.mkdir(parents=True, exist_ok=True)
        frozen = frozen_step(request.notebook, request.published, store=origin.store, trees=trees)
        return replace(frozen, settings=settings)
    cwd = folder_of(record)
    folder = below(laid.tree, cwd) if is_inside(cwd) else laid.tree / ".nbprod" / "folder"
    folder.mkdir(parents=True, exist_ok=True)
    path: Path | None = None
    if request.notebook.endswith(".ipynb") and "://" not in request.notebook:
        inner = request.notebook if is_inside(request.notebook) else f".nbprod/source/{Path(request.notebook).name}"
        path = below(laid.tree, inner)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    step = recorded_step(record, data, path=path, folder=folder, settings=settings)
    if (found := source_digest(step.notebook)) != request.source:
        raise IntegrityError(
            "the source notebook is not what the request names", expected=str(request.source), found=str(found)
        )
    return step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """A run, and the one that executed it again."""

    origin: Origin
    run: Run
    tree: Path
    kernel: _Kernel
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def _stated(project: Project, again: _Again, comparison: Comparison, far: Reached) -> Reproduced:
    """Keep and sign what came of it; tell it of both runs, bytes first (law 3)."""
    home, origin, run, kernel = project.home, again.origin, again.run, again.kernel
    second = home.ledger.run(run.id).record
    assert second is not None  # noqa: S101 - it has finished
    stated = Reproduced(
        first=origin.record.run_id,
        first_record=origin.digest,
        second=run.id,
        second_record=second,
        level=None if far.level is Level.NONE else int(far.level),
        normalisers=far.normalisers,
        verified=str(origin.verification.conclusion),
        environment=kernel.differences,
        place=str(again.tree),
        rebuilt=kernel.rebuilt,
        machine=comparison.machine,
        missing=again.missing,
        notes=again.notes,
        comparison=_outcomes(comparison),
        at=project.now(),
        by=run.record.user,
        host=run.record.host,
    )
    data = stated.to_bytes()
    digest = home.store.put(data)
    attestation = keep_signed_statement(data, home.store, None if project.keys is None else str(project.keys))
    for run_id in dict.fromkeys((run.id, origin.record.run_id)):
        if not _known(project, run_id, origin):
            continue
        home.ledger.append(RunReproduced.of(stated, run_id, digest, attestation))
    return stated


def _outcomes(comparison: Comparison) -> dict[str, Json]:
    """Return how things compare, without what they hold: that can be erased, and a statement cannot."""
    return {
        "cells": [
            {"cell": each.cell, "outcome": str(each.outcome), "rules": list(each.rules)} for each in comparison.cells
        ],
        "scraps": [{"name": each.name, "outcome": str(each.outcome)} for each in comparison.scraps],
        "artifacts": [
            {"name": each.name, "outcome": str(each.outcome), "by": each.by} for each in comparison.artifacts
        ],
    }


def _known(project: Project, run_id: RunId, origin: Origin) -> bool:
    """Return whether this ledger has the run: one from a bundle is of another, and the same record counts alone."""
    try:
        row = project.home.ledger.run(run_id)
    except NotFound:
        return False
    return run_id != origin.record.run_id or row.record == origin.digest
