"""Executing a run again from what is kept of it, in a place of its own, and comparing the two."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbprod.diff import Comparison, Level, Reached, compare, reached
from nbprod.digest import Json
from nbprod.errors import IntegrityError, NotFound
from nbprod.execution.cancel import CancelToken
from nbprod.execution.events import Listener
from nbprod.kernels.spec import KernelSpec, find_kernel_spec
from nbprod.ledger.events import RunReproduced
from nbprod.notebook import source_digest
from nbprod.project.diff import side_of
from nbprod.project.foreign import BUNDLE
from nbprod.project.origin import PROJECT, Origin
from nbprod.project.prepared import How, missing_of, not_as_it_was, prepare, settings_of
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.publish import frozen_step
from nbprod.record.compare import Difference, compare_environments
from nbprod.record.ids import RunId
from nbprod.record.reproduced import Reproduced
from nbprod.reproduce.ending import compare_endings, limited
from nbprod.reproduce.job import job_of, recorded_step
from nbprod.reproduce.needs import folder_of, is_inside, needs_of, unpinned_of
from nbprod.reproduce.surroundings import variables
from nbprod.reproduce.tree import Laid, below, find, lay, listings_that_differ
from nbprod.reproduce.virtual import make_environment, spec_in
from nbprod.runner import Job, Ports, Runner
from nbprod.runner.ports import local_zone
from nbprod.runner.signed import keep_signed_statement
from nbprod.step.step import Step, StepSettings
from nbprod.verify import Verification
from nbprod.verify.asked import beliefs_in

__all__ = ["How", "Reproduction", "reproduce"]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of executing a run again.

    Args:
        stated: what is stated of it, as it is kept.
        run: the new run.
        comparison: the two, part by part.
        reached: how far the new run came, and why no farther.
        verification: what verifying the first run came to.
        folder: where it was executed; None: that is removed.
    """

    stated: Reproduced
    run: Run
    comparison: Comparison
    reached: Reached
    verification: Verification
    folder: Path | None = None

    @property
    def level(self) -> int | None:
        """How much came out the same, 0 to 3; None: not even the ending did."""
        return self.stated.level

    @property
    def beliefs(self) -> tuple[str, ...]:
        """What verifying the first run had to believe on nobody's word, in words."""
        return beliefs_in(self.verification)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            **self.stated.to_json(),
            "told": self.stated.told,
            "verification": self.verification.to_json(),
            "comparison": self.comparison.to_json(),
            "why_not": list(self.reached.why_not),
            "home": str(self.run.home.root),
            "folder": None if self.folder is None else str(self.folder),
        }


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
        SignatureInvalid: nothing that was named beforehand vouches for it.
        NotReproducible: something that it needs is not to be had; the error lists all of it.
        Erased: the source notebook was erased.
        CallerError: what was given is not what the run read; a tolerance is of no scrap; its kernel is not here.
    """
    ((origin, how),) = prepare(project, (origin,), how or How())
    trace, data = origin.trace, origin.side.read(origin.record.source_file.digest)
    needs = needs_of(origin.record, trace)
    found, absent = find(needs, origin.store, lies=origin.lies, given=how.given)
    key = origin.environment
    zone = origin.record.timezone
    tree = Path(tempfile.mkdtemp(prefix="nbprod-reproduce-")).resolve()
    done = False
    try:
        environ = variables(key, zone, local_zone(), project.environ, root=origin.lies or project.root, tree=tree)
        ports = project.ports_in(tree, environ, zone)
        settings = settings_of(project, origin)
        missing = missing_of(settings, project, absent, how)
        if missing and how.rebuild_environment:  # nothing is installed for a run that cannot be executed
            raise not_as_it_was(origin, missing)
        kernel = _kernel(project, origin, key, ports, how)
        if how.strict_environment:
            missing += tuple(f"{each}; make it anew: --rebuild-env" for each in kernel.differences)
        if missing:
            raise not_as_it_was(origin, missing)
        laid = lay(found, origin.store, tree)
        notes = (*_told(origin, settings), *laid.notes, *unpinned_of(trace), *listings_that_differ(trace, tree))
        job = job_of(origin.record, _step(origin, data, laid, settings), laid)
        job = replace(job, spec=kernel.spec, caller={} if origin.bundle is None else {BUNDLE: origin.bundle})
        _keep_handed(project, job, laid)
        if on_ready is not None:
            on_ready(job)
        run = Run(Runner(ports).run(job, cancel=cancel, listener=listener), project.home)
        done = True
    finally:
        if not (how.keep and done):  # of what is refused nothing is left
            shutil.rmtree(tree, ignore_errors=True)
    second = replace(side_of(run), places={str(tree): PROJECT})
    comparison = compare(origin.side, second, tolerance=how.tolerance)
    ending = compare_endings(origin.record.verdict, run.record.verdict, comparison)
    far = limited(reached(comparison), ending, comparison)
    again = _Again(
        origin=origin,
        run=run,
        tree=tree,
        kernel=kernel,
        missing=tuple(map(str, absent)),
        notes=(*origin.beliefs, *notes),
        ending="" if ending is None else ending.told,
    )
    stated = _stated(project, again, comparison, far)
    return Reproduction(stated, run, comparison, far, origin.verification, tree if how.keep else None)


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
    ending: str


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
        ending=again.ending,
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
