"""A run that is to be executed again: its record, where its bytes are, and whether it is what it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.diff import Side
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound
from nbprod.ledger import Ledger
from nbprod.ledger.reproduced import reproductions
from nbprod.parameters import untag
from nbprod.project.diff import side_of
from nbprod.project.foreign import foreign_run
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.project.verifying import Asked, Verifier
from nbprod.record.ids import RunId
from nbprod.record.reproduced import Reproduced
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Trace
from nbprod.store import Store
from nbprod.verify import Verification
from nbprod.verify.asked import beliefs_in

if TYPE_CHECKING:
    from nbprod.bundle import Bundle

__all__ = ["PROJECT", "Origin", "Origins", "origin_of", "origins_in", "origins_of"]

PROJECT = "project"
"""What the project's root is called where two runs are compared."""
_RUNS = "/.nbprod/runs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run comes from that is to be executed again.

    Args:
        side: its record, and how its bytes are read; Erased is raised for those that were erased.
        digest: of the record's bytes.
        store: has what was kept of it.
        lies: the project's root, where what was not kept may lie; None: there is none.
        verification: what verifying it came to.
        bundle: the name of the bundle that it comes from; None: it is of a ledger.
        notes: what is to be said of it beside what comes of it.
        vouched: whether something that was named beforehand has to vouch for it: a root key, a list of keys.
    """

    side: Side
    digest: Digest
    store: Store
    lies: Path | None
    verification: Verification
    bundle: str | None = None
    notes: tuple[str, ...] = ()
    vouched: bool = False

    @property
    def beliefs(self) -> tuple[str, ...]:
        """What verifying it had to believe on nobody's word, in words."""
        return beliefs_in(self.verification)

    @property
    def record(self) -> RunRecord:
        """The run's record."""
        return self.side.record

    @property
    def trace(self) -> Trace:
        """What it touched; a record of before anybody looked says so."""
        kept = self.record.trace
        if kept is None:
            return Trace(on=False, why_off="its record holds no trace")
        return Trace.from_bytes(self.side.read(kept.digest))

    @property
    def environment(self) -> dict[str, Any]:
        """The environment key that it had.

        Raises:
            IntegrityError: it is not kept, or none.
        """
        try:
            told = json.loads(self.side.read(self.record.request.environment))
        except ValueError as error:
            raise IntegrityError("what is recorded of the environment is no JSON", found=str(error)) from error
        if not isinstance(told, dict):
            raise IntegrityError("what is recorded of the environment is no object", found=type(told).__name__)
        return told


@dataclass(frozen=True, slots=True)
class Origins:
    """Runs that are to be executed again.

    Args:
        runs: the runs, in the order in which they are to be.
        remember: remembers what was seen when they were verified; to be called once they were executed.
    """

    runs: tuple[Origin, ...]
    remember: Callable[[], object]


def origin_of(project: Project, run: Run, asked: Asked | None = None) -> Origin:
    """Return a run of a project as one to be executed again; for a cached run, the run that answered.

    Args:
        project: whose run it is.
        run: the run.
        asked: how it is to be verified.
    """
    return origins_of(project, run, asked).runs[0]


def origins_of(project: Project, run: Run, asked: Asked | None = None, *, upstream: bool = False) -> Origins:
    """Return a run of a project, and if asked for before it those whose artifacts it was handed, the earliest first.

    One of another ledger, by way of a bundle, is not executed again: the run that was handed its artifacts says so.
    """
    verifier = Verifier(project, asked or Asked())
    found = []
    for each in _ordered(project, _answering(project, run), upstream=upstream):
        row = project.home.ledger.run(each.id)
        assert row.record is not None  # noqa: S101 - it has finished
        own = {str(project.root): PROJECT, **_root_of(each.record)}  # the folder may have been moved since
        places = {**own, **_executed_in(project.home.ledger, project.home.store, each.id)}
        made = Origin(
            side=replace(side_of(each), places=places),
            digest=row.record,
            store=project.home.store,
            lies=project.root,
            verification=verifier.run(each.id),
            notes=tuple(_foreign(project, each.record)) if upstream else (),
            vouched=_vouched(asked),
        )
        found.append(made)
    return Origins(tuple(found), verifier.remember)


def _foreign(project: Project, record: RunRecord) -> Iterator[str]:
    for run_id, name in _handed(record).items():
        if (foreign := foreign_run(project.home.ledger, run_id)) is not None:
            yield f"run {run_id}, which made its {name}, is not executed again: it is {foreign.told}"


def _handed(record: RunRecord) -> dict[RunId, str]:
    """Return the runs whose artifacts a run was handed, each with the name of one of those."""
    return {entry.run: entry.path for entry in record.request.inputs if entry.run is not None}


def _answering(project: Project, run: Run) -> Run:
    return run if run.record.of is None else project.run(str(run.record.of))


def _ordered(project: Project, run: Run, *, upstream: bool) -> list[Run]:
    found: dict[RunId, Run] = {}
    left = [run]
    while left:
        each = left.pop()
        found[each.id] = each
        handed = _handed(each.record).keys() - found.keys() if upstream else set()
        here = [run_id for run_id in handed if foreign_run(project.home.ledger, run_id) is None]
        left += [_answering(project, project.run(str(run_id))) for run_id in here]
    return sorted(found.values(), key=lambda each: each.started)


def origins_in(
    bundle: Bundle, environ: Mapping[str, str], asked: Asked | None = None, *, upstream: bool = False
) -> Origins:
    """Return the run that a bundle was made for, and if asked for before it the others in it, the earliest first.

    What is to say of the bundle as a whole is said of each: the others come before the one it was made for.

    Args:
        bundle: open, for as long as the runs are used.
        environ: the environment, for the user's own file of what was seen.
        asked: how they are to be verified.
        upstream: whether the others are wanted.
    """
    from nbprod.verify.bundled import BundleVerifier  # noqa: PLC0415 - only for bundles

    verifier = BundleVerifier(bundle, asked or Asked(), environ)
    records = [bundle.record(run_id) for run_id in (bundle.run_ids if upstream else (bundle.run_id,))]
    digests = {each.run: each.record for each in bundle.index.runs}
    found = []
    for record in sorted(records, key=lambda each: each.started):
        if record.of is not None and upstream:
            continue  # the run that answered is here as well
        places = {**_root_of(record), **_executed_in(bundle.ledger, bundle.store, record.run_id)}
        verified = verifier.run(record.run_id)
        if record.run_id != bundle.run_id:
            checks = sorted((*verifier.survey.checks, *verified.checks), key=lambda check: check.step)
            verified = replace(verified, checks=tuple(checks))
        made = Origin(
            side=Side(record=record, read=bundle.read, places=places),
            digest=digests[record.run_id],
            store=bundle.store,
            lies=None,
            verification=verified,
            vouched=_vouched(asked),
            bundle=bundle.path.name,
            notes=tuple(_left_out(bundle, record)) if upstream else (),
        )
        found.append(made)
    sound = all(each.verification for each in found)
    return Origins(tuple(found), verifier.remember if sound else _forget)


def _forget() -> None:
    """Remember nothing: a bundle that is not sound teaches nothing."""


def _vouched(asked: Asked | None) -> bool:
    return asked is not None and (asked.root is not None or asked.keys is not None)


def _left_out(bundle: Bundle, record: RunRecord) -> Iterator[str]:
    for run_id, name in _handed(record).items():
        if run_id not in bundle.run_ids:
            yield f"run {run_id}, which made its {name}, is not executed again: it is not in the bundle"


def _root_of(record: RunRecord) -> dict[str, str]:
    """Return the root of the project that a run was of, as far as its output folder tells."""
    given = record.request.parameters.get("output_dir")
    text = "" if given is None else str(untag(given))
    root, found, _ = text.partition(_RUNS)
    return {root: PROJECT} if found and root else {}


def _executed_in(ledger: Ledger, store: Store, run_id: RunId) -> dict[str, str]:
    """Return the folder in which a run was executed that is itself another one executed again."""
    places = {}
    for event in reproductions(ledger, run_id):
        if event.second == run_id:
            try:
                places[Reproduced.from_bytes(store.get(event.statement)).place] = PROJECT
            except NotFound:  # an export need not have it
                continue
    return places
