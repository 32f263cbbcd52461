"""A project's published steps: freezing one, naming versions, comparing two."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from nbprod.attest.keyfile import Role
from nbprod.environment.git import git_state
from nbprod.errors import CallerError, NbprodError, NotApproved
from nbprod.ledger import RunQuery
from nbprod.ledger.events import AliasMoved
from nbprod.notebook import Notebook
from nbprod.project.person import person_of
from nbprod.project.project import Project
from nbprod.project.promotion import refuse_unapproved
from nbprod.publish import Manifest, Publication, StepReference, move_alias, publish, resolve
from nbprod.record.status import Status
from nbprod.runner.ports import user_name
from nbprod.runner.unchanged import trace_of

__all__ = ["Changed", "diff_versions", "publish_step", "set_alias"]


_LOOKED_AT = 10
"""Good runs of a step among which one of the working tree is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A part in which two versions of a step differ.

    Args:
        part: `cell`, `parameter`, `setting` (the contract among them), `module` or `environment`.
        name: which.
        lines: the difference as `diff -u` shows it, without its head.
    """

    part: str
    name: str
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"part": self.part, "name": self.name, "lines": list(self.lines)}


def publish_step(
    project: Project, name: str, *, note: str = "", allow_dirty: bool = False, alias: str | None = None
) -> Publication:
    """Freeze a step under its next version, and let an alias point at it.

    Raises:
        NotFound: there is no such step.
        CallerError: the git tree is dirty, or the step lies outside the project.
        NotApproved: it was published, and the alias asks for more than there is.
    """
    step = project.step(name)
    if step.published is not None:
        raise CallerError(f"{name} is published already", expected="a step or notebook of the working tree")
    at, by, person = project.now(), user_name(), person_of(project, Role.PROMOTER)
    publication = publish(
        step,
        root=project.root,
        git=git_state(step.folder if step.path is None else step.path.parent, project.environ),
        environment=project.environment_of(step),
        store=project.home.store,
        ledger=project.home.ledger,
        at=at,
        by=by,
        nbprod=version("nbprod"),
        note=note,
        allow_dirty=allow_dirty,
        seen=_seen(project, step.name),
        sign=None if person is None else person.sign,
    )
    if alias is not None:
        try:
            set_alias(project, step.name, alias, publication.version, why=note)
        except NotApproved as error:
            error.what = f"{step.name}@{publication.version} is published, and {error.what}"
            raise
    return publication


def set_alias(project: Project, step: str, alias: str, version: int | None, *, why: str = "") -> AliasMoved | None:
    """Let an alias point at a version of a step, or take it away (see `move_alias`).

    Raises:
        NotApproved: the settings ask for more than was said of the version, or for a key that is not there.
    """
    ledger, person = project.home.ledger, person_of(project, Role.PROMOTER)
    refuse_unapproved(project, step, alias, version, person)
    return move_alias(
        ledger,
        step,
        alias,
        version,
        at=project.now(),
        by=user_name(),
        why=why,
        log="" if person is None else person.log,
        sign=None if person is None else person.sign,
    )


def _seen(project: Project, step: str) -> tuple[str, ...]:
    """Return the modules that the step's last good run was seen to import: some names are computed."""
    query = RunQuery(steps=(step,), statuses=(Status.SUCCEEDED,), limit=_LOOKED_AT)
    with suppress(NbprodError):  # a trace that cannot be read: then what reading the notebook finds has to do
        for run in project.runs(query):
            if run.record.request.published is None:
                return tuple(entry.path for entry in trace_of(run.record, project.home.store).modules)
    return ()


def diff_versions(project: Project, before: str, after: str) -> tuple[Changed, ...]:
    """Return in what two published versions differ: cells, parameters, settings and contract, modules.

    Args:
        project: whose steps they are.
        before: `train@2`, `train@production`.
        after: the same.

    Raises:
        NotFound: there is no such version.
        CallerError: no reference to a published step.
    """
    return tuple(_changes(_loaded(project, before), _loaded(project, after), project))


def _loaded(project: Project, text: str) -> Manifest:
    reference = StepReference.parse(text)
    if reference is None:
        raise CallerError(f"{text!r} names no published step", expected="STEP@VERSION or STEP@ALIAS, e.g. train@3")
    return Manifest.from_bytes(project.home.read(resolve(reference, project.home.ledger).manifest))


def _changes(before: Manifest, after: Manifest, project: Project) -> Iterator[Changed]:
    cells = [_cells(Notebook.parse(project.home.read(each.notebook.digest))) for each in (before, after)]
    yield from _compared("cell", cells[0], cells[1])
    schemas = [_texts(each.schema.get("properties") or {}) for each in (before, after)]
    yield from _compared("parameter", schemas[0], schemas[1])
    yield from _compared("setting", _texts(before.settings), _texts(after.settings))
    modules = [{each.path: each.digest for each in manifest.modules} for manifest in (before, after)]
    changed = {path for path in {**modules[0], **modules[1]} if modules[0].get(path) != modules[1].get(path)}
    texts = [
        {
            path: project.home.read(digest).decode("utf-8", "replace")
            for path, digest in found.items()
            if path in changed
        }
        for found in modules
    ]
    yield from _compared("module", texts[0], texts[1])
    if before.environment != after.environment:
        lines = (f"-{before.environment}", f"+{after.environment}")
        yield Changed(part="environment", name="key", lines=lines)


def _cells(notebook: Notebook) -> dict[str, str]:
    """Return the cells' sources by their ids: those stay when a cell is moved."""
    return {f"{cell.kind} {cell.id}": cell.source for cell in notebook.cells}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) for name, value in values.items()}


def _compared(part: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Changed]:
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old != new:
            lines = difflib.unified_diff((old or "").splitlines(), (new or "").splitlines(), lineterm="", n=2)
            yield Changed(part=part, name=name, lines=tuple(lines)[2:])
