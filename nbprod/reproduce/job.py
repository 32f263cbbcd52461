"""A run's own step and job, as its record has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbprod.ledger.flags import REPRODUCTION
from nbprod.notebook import OUTPUT_DIR, Notebook
from nbprod.parameters import bind, untag
from nbprod.record.launch import LEAN
from nbprod.record.request import RunRequest
from nbprod.record.run_record import RunRecord
from nbprod.reproduce.tree import Laid
from nbprod.reproduce.values import with_places
from nbprod.runner import Job, Upstream
from nbprod.step.contract import Contract
from nbprod.step.secret import FILE, SecretReference
from nbprod.step.step import Step, StepSettings

__all__ = ["job_of", "recorded_settings", "recorded_step"]


def recorded_settings(request: RunRequest, root: Path | None = None, *, foreign: bool = False) -> StepSettings:
    """Return a step's settings as a run had them: kernel, limits, secrets and contract.

    Args:
        request: the run's.
        root: the project's, which paths of secrets' files are relative to, for a run that is executed elsewhere.
        foreign: whether somebody else's record names them: then each is the variable of its own name here, and no file.
    """
    limits = {key: value for key, value in request.limits.items() if value is not None}
    return StepSettings(
        notebook=None,
        kernel=request.kernel,
        secrets=tuple(_reference(name, {} if foreign else request.secret_references, root) for name in request.secrets),
        expect=Contract.parse(request.contract, "the contract"),
        **limits,
    )


def _reference(name: str, references: Mapping[str, str], root: Path | None) -> SecretReference:
    found = SecretReference.parse(name, references.get(name, f"env:{name}"), "secrets of the run")
    if found.source != FILE or root is None or found.place.startswith("~"):
        return found
    return replace(found, place=str(root / found.place))


def recorded_step(record: RunRecord, data: bytes, *, path: Path | None, folder: Path, settings: StepSettings) -> Step:
    """Return a run's step.

    Args:
        record: the run's.
        data: the source notebook's bytes.
        path: where they lie; None: nowhere.
        folder: the working directory.
        settings: see `recorded_settings`.
    """
    where = record.request.notebook
    return Step(
        name=record.request.step,
        notebook=Notebook.parse(data, path=path),
        data=data,
        path=path,
        folder=folder,
        settings=settings,
        origin=where if "://" in where else None,
    )


def job_of(record: RunRecord, step: Step, laid: Laid) -> Job:
    """Return a job that asks for what a run asked for, in a tree that was laid out for it.

    Args:
        record: the run's.
        step: its step, in the tree.
        laid: says where the files lie now.

    Raises:
        ParameterError: the recorded values do not fit the recorded notebook.
    """
    request = record.request
    upstream = {
        entry.name: Upstream(run=entry.run, name=entry.path, digest=entry.digest, size=entry.size or 0)
        for entry in request.inputs
        if entry.run is not None and entry.digest is not None
    }
    values: dict[str, Any] = {}
    for name, tagged in request.parameters.items():
        if name in upstream:
            values[name] = laid.places.get(name, Path(upstream[name].name))
        elif name != OUTPUT_DIR:
            known = untag(tagged)
            value = with_places(name, known, laid.places, step.folder)
            if name in request.given or value != known:  # a default may name a place of the first run's machine
                values[name] = value
        elif name in request.given:
            values[name] = _own_output(untag(tagged), laid.tree)
    return Job(
        step=step,
        parameters=bind(step.schema, values, what=step.name),
        upstream=upstream,
        tags=(REPRODUCTION,),
        note=f"reproduces run {record.run_id}",
        reproduces=record.run_id,
        driver=LEAN if record.launch is None else record.launch.driver,
    )


def _own_output(value: Path | str, tree: Path) -> Path | str:
    """Return a folder that the caller gave for the output: never the one that the first run wrote to."""
    path = Path(value)
    if not path.is_absolute() and ".." not in path.parts:
        return value
    own = tree / ".nbprod" / "output" / path.name
    own.mkdir(parents=True, exist_ok=True)
    return own if isinstance(value, Path) else str(own)
