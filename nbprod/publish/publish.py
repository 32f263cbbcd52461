"""Freezing a step under its next version, and moving the names that point at versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from nbprod.digest import Digest
from nbprod.environment.git import GitState
from nbprod.errors import CallerError
from nbprod.ledger import Ledger
from nbprod.ledger.errors import StepMoved
from nbprod.ledger.events import AliasMoved, StepPublished
from nbprod.parameters import json_schema
from nbprod.publish.manifest import Frozen, Manifest
from nbprod.publish.modules import local_modules
from nbprod.record.publication import VersionStatement
from nbprod.step.step import Step
from nbprod.store import Store

__all__ = ["Publication", "Sign", "move_alias", "publish"]

Sign = Callable[[bytes], Digest]
"""Signs a statement, keeps the envelope and returns its digest."""

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A step that was frozen.

    Args:
        step: its name.
        version: the version; that of before where nothing has changed since.
        manifest: what belongs to it.
        digest: the manifest's.
        new: whether this is a new version.
        signed: whether somebody has signed that now.
    """

    step: str
    version: int
    manifest: Manifest
    digest: Digest
    new: bool
    signed: bool = False


def publish(
    step: Step,
    *,
    root: Path,
    git: GitState | None,
    environment: Digest,
    store: Store,
    ledger: Ledger,
    at: datetime,
    by: str,
    nbprod: str,
    note: str = "",
    allow_dirty: bool = False,
    seen: tuple[str, ...] = (),
    sign: Sign | None = None,
) -> Publication:
    """Freeze a step: its notebook, settings, contract and local modules go into the store under the next version.

    A step that is as it was in its latest version gets no new one.

    Args:
        step: the step as it is now.
        root: the project's root.
        git: what git says of the notebook's folder; None outside a repository.
        environment: digest of the environment key, in the store.
        store: takes the bytes.
        ledger: takes the event, last (law 3).
        at: aware.
        by: who publishes.
        nbprod: this version of nbprod.
        note: for people.
        allow_dirty: whether changes that were not committed are fine.
        seen: paths below the root of modules that a run was seen to import, which reading the notebook may not find.
        sign: signs a statement and returns the digest of its envelope; None: nobody does.

    Raises:
        CallerError: the git tree is dirty; or the step has no file below the root.
    """
    if git is not None and git.dirty and not allow_dirty:
        raise CallerError(
            f"step {step.name} is not published",
            expected="a git tree without changes",
            found="changes that are not committed",
            hint="Commit them, or publish all the same with --allow-dirty: the record then says so.",
        )
    manifest = _manifest(step, root, git=git, environment=environment, store=store, seen=seen, nbprod=nbprod)
    data = manifest.to_bytes()
    for _ in range(_ATTEMPTS):
        there = ledger.published(step.name)
        digest = store.put(data)
        if there and there[0].manifest == digest:
            return Publication(step=step.name, version=there[0].version, manifest=manifest, digest=digest, new=False)
        number = there[0].version + 1 if there else 1
        stated = VersionStatement(step=step.name, version=number, manifest=digest, at=at, by=by, note=note)
        told = stated.to_bytes()
        event = StepPublished(
            at=at,
            step=step.name,
            number=number,
            manifest=digest,
            by=by,
            note=note,
            statement=store.put(told),
            attestation=None if sign is None else sign(told),
        )
        try:
            ledger.append(event)
        except StepMoved:
            continue  # somebody else has just published the same step: theirs comes first
        return Publication(
            step=step.name, version=number, manifest=manifest, digest=digest, new=True, signed=sign is not None
        )
    raise StepMoved(f"{step.name} cannot be published", expected="a moment's rest", found="others who publish it")


def _manifest(
    step: Step,
    root: Path,
    *,
    git: GitState | None,
    environment: Digest,
    store: Store,
    seen: tuple[str, ...],
    nbprod: str,
) -> Manifest:
    if step.path is None or not step.path.resolve().is_relative_to(root.resolve()):
        raise CallerError(
            f"step {step.name} cannot be published",
            expected=f"a notebook below the project's root {root}",
            found="standard input" if step.path is None else str(step.path),
        )
    if not step.folder.resolve().is_relative_to(root.resolve()):
        raise CallerError(
            f"step {step.name} cannot be published",
            expected="a working directory below the project's root",
            found=str(step.folder),
        )
    python = step.notebook.language == "python"
    modules = {*local_modules(step.notebook, step.folder, root)} if python else set()
    modules |= {path for path in (root / name for name in seen) if path.is_file()}
    settings = replace(step.settings, keep=None)  # for how long to keep runs, the project says on the day
    return Manifest(
        step=step.name,
        notebook=Frozen(path=_relative(step.path, root), digest=store.put(step.data), size=len(step.data)),
        modules=tuple(_frozen(path, root, store) for path in sorted(modules)),
        folder=_relative(step.folder, root),
        settings=settings.to_json(),
        schema=json_schema(step.schema, title=step.name, description=step.notebook.title or ""),
        environment=environment,
        git=None if git is None else git.to_json(),
        nbprod=nbprod,
    )


def _frozen(path: Path, root: Path, store: Store) -> Frozen:
    digest, size = store.put_file(path)
    return Frozen(path=_relative(path, root), digest=digest, size=size)


def _relative(path: Path, root: Path) -> str:
    return path.resolve().relative_to(root.resolve()).as_posix()


def move_alias(
    ledger: Ledger,
    step: str,
    alias: str,
    version: int | None,
    *,
    at: datetime,
    by: str,
    why: str = "",
    log: str = "",
    sign: Sign | None = None,
) -> AliasMoved | None:
    """Let a name point at a version; None, and nothing done, where it does already.

    Args:
        ledger: takes the event.
        step: the step.
        alias: the name.
        version: the version; None to take the name away.
        at: aware.
        by: who does.
        why: the reason.
        log: the log's name, which is signed as well; empty where it has none.
        sign: signs a statement and returns the digest of its envelope; None: nobody does.

    Raises:
        NotFound: there is no such version.
        StepMoved: somebody else moved it at this moment.
    """
    there = ledger.published(step)
    before = next((each.version for each in there if alias in each.aliases), None)
    if before == version:
        return None
    event = AliasMoved(at=at, step=step, alias=alias, number=version, before=before, by=by, why=why)
    manifest = next((each.manifest for each in there if each.version == (before if version is None else version)), None)
    if sign is not None and manifest is not None:  # where it is None, the ledger refuses
        event = replace(event, log=log)
        event = replace(event, attestation=sign(event.stated(manifest).to_bytes()))
    ledger.append(event)
    return event
