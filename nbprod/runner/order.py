"""From a job to a request: inputs pinned, paths chosen, the notebook prepared."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbprod.digest import Digest, Json
from nbprod.environment.inputs import Pinned, paths_in, pin_path
from nbprod.errors import NotebookInvalid, ParameterError, ParameterFault
from nbprod.execution.plan import Plan
from nbprod.notebook import INJECTED, OUTPUT_DIR, Prepared, with_parameters
from nbprod.parameters import Parameter, injected_source, tag
from nbprod.record.request import Input
from nbprod.runner.job import Job, Upstream

__all__ = ["OUTPUT_DIR", "Bound", "bind_paths", "display_path", "plain_json", "plan_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A job's parameters for one run.

    Args:
        overrides: what is injected.
        values: all known values, tagged, as the record has them.
        inputs: what they name.
        collects: whether `output_dir` is ours, so that what is left there becomes artifacts.
        notes: what a reader should know.
        listings: of each folder among the inputs, by its digest, the list of its files.
    """

    overrides: Mapping[str, Any]
    values: Mapping[str, Json]
    inputs: tuple[Input, ...]
    collects: bool
    notes: tuple[str, ...]
    listings: Mapping[Digest, bytes] = field(default_factory=dict)


def bind_paths(job: Job, *, output: Path, cwd: Path, roots: Sequence[Path] = ()) -> Bound:
    """Choose the run's output folder and pin every file that a parameter names.

    Args:
        job: its parameters are checked already.
        output: the fresh folder for a notebook that declares `output_dir`.
        cwd: where the kernel runs; relative paths start there.
        roots: declared folders, pinned whole: whatever a library reads below them past Python is known.

    Raises:
        ParameterError: `output_dir` is declared as something that no folder fits.
    """
    schema = {parameter.name: parameter for parameter in job.step.schema.parameters}
    overrides = dict(job.parameters.overrides)
    known = job.parameters.values
    published = job.step.published
    notes = [*([published.remark] if published is not None and published.remark else []), *job.step.notebook.remarks]
    if overrides and (replaced := job.step.notebook.injected_cell) is not None:
        notes.append(f"cell {replaced}, tagged {INJECTED} by its author, was replaced by the given values")
    collects = OUTPUT_DIR in schema and OUTPUT_DIR not in overrides
    if collects:
        overrides[OUTPUT_DIR] = _as_declared(schema[OUTPUT_DIR], output, job.step.name)
        known[OUTPUT_DIR] = overrides[OUTPUT_DIR]
    elif OUTPUT_DIR in overrides:
        notes.append("output_dir was given by the caller, so the files in it are not artifacts of this run")
    read = {name: value for name, value in known.items() if name != OUTPUT_DIR and name not in job.upstream}
    declared = {name for name, parameter in schema.items() if _is_path(parameter.type)}
    inputs = [_upstream_input(name, job.upstream[name]) for name in job.upstream]
    named = [(name, path, pin_path(path)) for name, path in paths_in(read, declared, cwd)]
    whole = [(path, pin_path(path)) for path in roots]
    inputs += [_file_input(name, path, cwd, pinned) for name, path, pinned in named]
    inputs += [_root_input(path, cwd, pinned) for path, pinned in whole]
    notes += [f"{entry.name or entry.path} is not pinned: {entry.note}" for entry in inputs if entry.kind == "unpinned"]
    values = {name: _upstream_value(job.upstream[name]) if name in job.upstream else tag(known[name]) for name in known}
    pins = [*(pinned for _, _, pinned in named), *(pinned for _, pinned in whole)]
    return Bound(
        overrides=overrides,
        values=values,
        inputs=tuple(inputs),
        collects=collects,
        notes=tuple(notes),
        listings={pin.digest: pin.listing for pin in pins if pin.digest is not None and pin.listing is not None},
    )


def _as_declared(parameter: Parameter, output: Path, step: str) -> Path | str:
    """Return the folder as the notebook declares it: a text where its default is one or no path is taken."""
    forms = (str(output), output) if isinstance(parameter.default, str) else (output, str(output))
    for form in forms:
        if parameter.accepts.check(form) is None:
            return form
    fault = ParameterFault(OUTPUT_DIR, "Path or str in the declaration", parameter.describe_type())
    hint = "A run fills output_dir with a fresh folder: declare it so, or give the parameter another name."
    raise ParameterError(f"the parameters do not fit {step}", (fault,), hint=hint)


def _is_path(spec: Any) -> bool:
    return spec is not None and "Path" in spec.describe()


def _upstream_value(upstream: Upstream) -> Json:
    inner = {"run": str(upstream.run), "name": upstream.name, "digest": str(upstream.digest)}
    return {"$nbprod": "artifact", "value": inner}


def _upstream_input(name: str, upstream: Upstream) -> Input:
    return Input(
        kind="artifact",
        name=name,
        path=upstream.name,
        digest=upstream.digest,
        size=upstream.size,
        run=upstream.run,
    )


def _file_input(name: str, path: Path, cwd: Path, pinned: Pinned) -> Input:
    return Input(
        kind=pinned.kind,
        name=name,
        path=display_path(path, cwd),
        digest=pinned.digest,
        size=pinned.size,
        note=pinned.reason or "",
    )


def _root_input(path: Path, cwd: Path, pinned: Pinned) -> Input:
    entry = _file_input("", path, cwd, pinned)
    return entry if entry.kind == "unpinned" else replace(entry, kind="root")


def display_path(path: Path, root: Path) -> str:
    """Return a path for people: relative to `root` if it lies below it."""
    plain = Path(os.path.normpath(path))
    return plain.relative_to(root).as_posix() if plain.is_relative_to(root) else str(plain)


def plan_of(job: Job, overrides: Mapping[str, Any]) -> tuple[Plan, Prepared]:
    """Prepare the notebook: parameters injected, each cell marked with its index in the source.

    Raises:
        ParameterError, CallerError: a value that cannot be injected safely.
    """
    notebook = job.step.notebook
    injected: str | None = None
    if overrides:
        if notebook.language == "python":
            injected = injected_source(overrides, taken=_names(job))
        else:
            from nbprod.execution.languages import translated  # noqa: PLC0415 - imports papermill, which is slow

            injected = translated(job.step.kernel_name, notebook.language, overrides)
    prepared = with_parameters(notebook, injected, hidden=job.report_mode, replace=bool(job.parameters.overrides))
    for position, cell in enumerate(prepared.node["cells"]):
        _refuse_no_text(cell, prepared.source_index(position))
        index = prepared.source_index(position)
        cell["metadata"]["nbprod"] = {"cell": index}
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            if job.report_mode:
                cell["metadata"].setdefault("jupyter", {})["source_hidden"] = True
    labels = {cell.index: notebook.heading(cell.index) or "" for cell in notebook.code_cells}
    return Plan.of(prepared.node, labels), prepared


def _refuse_no_text(cell: Mapping[str, Any], index: int | None) -> None:
    try:
        "".join(cell["source"]).encode()
    except UnicodeEncodeError as error:
        raise NotebookInvalid(
            f"cell {index} holds a character that is no text",
            found=f"a lone surrogate at character {error.start}",
            hint="Kernels cannot read it: write the cell anew.",
        ) from error


def _names(job: Job) -> frozenset[str]:
    return frozenset(parameter.name for parameter in job.step.schema.parameters)


def plain_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON that any reader of papermill's metadata takes; what JSON can't hold becomes text."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # NaN and infinities are no JSON
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat is not None else str(value)
