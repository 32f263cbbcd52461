"""A run that is to be executed again: its record, where its bytes are, and whether it is what it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbprod.digest import Digest
from nbprod.errors import IntegrityError
from nbprod.ledger.reproduced import reproductions
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.project.verifying import Asked, Verifier
from nbprod.record.reproduced import Reproduced
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Trace
from nbprod.store import Store
from nbprod.verify import Verification

__all__ = ["PROJECT", "Origin", "origin_of"]

PROJECT = "project"
"""What the project's root is called where two runs are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run comes from that is to be executed again.

    Args:
        record: the run's.
        digest: of the record's bytes.
        store: has what was kept of it.
        read: returns the bytes of a digest; raises Erased where they were erased.
        lies: the project's root, where what was not kept may lie; None: there is none.
        verification: what verifying it came to.
        places: absolute paths that only this run had, and what to call them.
    """

    record: RunRecord
    digest: Digest
    store: Store
    read: Callable[[Digest], bytes]
    lies: Path | None
    verification: Verification
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def trace(self) -> Trace:
        """What it touched; a record of before anybody looked says so."""
        kept = self.record.trace
        if kept is None:
            return Trace(on=False, why_off="its record holds no trace")
        return Trace.from_bytes(self.read(kept.digest))

    @property
    def environment(self) -> dict[str, Any]:
        """The environment key that it had.

        Raises:
            IntegrityError: it is not kept, or none.
        """
        return self._json(self.record.request.environment)

    def _json(self, digest: Digest) -> dict[str, Any]:
        try:
            told = json.loads(self.read(digest))
        except ValueError as error:
            raise IntegrityError("what is recorded of an environment is no JSON", found=str(error)) from error
        if not isinstance(told, dict):
            raise IntegrityError("what is recorded of an environment is no JSON object", found=type(told).__name__)
        return told


def origin_of(project: Project, run: Run, asked: Asked | None = None) -> Origin:
    """Return a run of a project as one to be executed again; for a cached run, the run that answered.

    Args:
        project: whose run it is.
        run: the run.
        asked: how it is to be verified.
    """
    if run.record.of is not None:
        run = project.run(str(run.record.of))
    row = project.home.ledger.run(run.id)
    assert row.record is not None  # noqa: S101 - it has finished
    verifier = Verifier(project, asked or Asked())
    verification = verifier.run(run.id)
    verifier.remember()
    return Origin(
        record=run.record,
        digest=row.record,
        store=project.home.store,
        read=lambda digest: project.home.read(digest, run.id),
        lies=project.root,
        verification=verification,
        places={str(project.root): PROJECT, **dict(_executed_in(run))},
    )


def _executed_in(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the folder in which a run was executed that is itself another one executed again."""
    for event in reproductions(run.home.ledger, run.id):
        if event.second == run.id:
            yield Reproduced.from_bytes(run.home.read(event.statement, run.id)).place, PROJECT
