"""Erasing bytes of one run: what would go, and from whom; then doing so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from nbprod.digest import Digest
from nbprod.errors import CallerError, NotFound
from nbprod.ledger.named import records_of
from nbprod.project.erasure import Cleared, Concerned, Grave, bury, clear
from nbprod.project.holders import search
from nbprod.project.kept import kept_of
from nbprod.project.run import Run
from nbprod.record.ids import RunId
from nbprod.record.parts import Part, PartKind, parts_of
from nbprod.record.run_record import RunRecord

__all__ = ["ALL", "Choice", "Plan", "carry_out", "plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which bytes of a run are to be erased.

    Args:
        artifacts: by their names.
        kinds: all of these kinds.
    """

    artifacts: tuple[str, ...] = ()
    kinds: frozenset[PartKind] = frozenset()


_LONGEST = 1000
"""Characters of a reason."""

ALL = frozenset((PartKind.OUTPUT, PartKind.ARTIFACT))
"""What a run put out and left. Sources, inputs and lists of what was touched are often the same for many runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be erased.

    Args:
        run: of which run.
        parts: what of it was chosen.
        concerned: the runs that would get a tombstone: the run itself, and others that have the same bytes.
        handed: runs that had such bytes as inputs, with their steps: what they left may hold something of them.
        graves: the bytes that have all their tombstones already, and may lie there still.
        seq: the event up to which the ledger was read.
    """

    run: Run
    parts: tuple[Part, ...]
    concerned: tuple[Concerned, ...]
    handed: tuple[tuple[RunId, str], ...]
    graves: dict[Digest, Grave]
    seq: int

    @property
    def others(self) -> tuple[Concerned, ...]:
        """The other runs that would lose bytes."""
        return tuple(each for each in self.concerned if each.run_id != self.run.id)


def plan(run: Run, choice: Choice, *, why: str) -> Plan:
    """Find out what would be erased; nothing is.

    Args:
        run: has ended.
        choice: what of it.
        why: the reason, which will stand on the tombstones.

    Raises:
        CallerError: nothing was chosen, no reason was given, or something else needs the bytes.
        NotFound: the run left no such artifact.
        IntegrityError: a record is missing or spoilt, so that it cannot be known whose the bytes are.
    """
    why = " ".join(why.split())  # on one line: it stands among lines of our own
    if not why or len(why) > _LONGEST:
        raise CallerError(
            "a reason is needed to erase bytes",
            expected=f"some words for those who look for the bytes, {_LONGEST:,} characters at most",
            found=f"{len(why):,} characters",
        )
    parts = _chosen(run, choice)
    sought = frozenset(part.digest for part in parts)
    found = search(run.home, sought)
    if found.needed:
        digest, what = next(iter(found.needed.items()))
        name = next(part.name for part in parts if part.digest == digest)
        raise CallerError(
            f"the {name} of run {run.id} cannot be erased",
            expected="bytes that only runs hold",
            found=what,
            hint="Nothing was erased. Choose the other bytes of the run",
        )
    graves = {digest: Grave() for digest in sought}
    concerned = []
    for run_id, held in sorted(found.parts.items(), key=lambda item: (item[0] != run.id, item[0])):
        told = found.erased.get(run_id, set())
        lost = tuple(part for part in held if part.digest not in told)
        if lost:
            concerned.append(Concerned(run_id=run_id, step=found.steps[run_id], parts=lost, why=why))
        for part in held:
            graves[part.digest].runs.add(run_id)
            graves[part.digest].names.add(part.name)
    handed = tuple((run_id, found.steps[run_id]) for run_id in found.handed)
    return Plan(run=run, parts=parts, concerned=tuple(concerned), handed=handed, graves=graves, seq=found.seq)


def carry_out(made: Plan, *, by: str, at: datetime) -> Cleared:
    """Write the tombstones, then remove the bytes. Killed in between, it is finished by doing it again, or by `gc`.

    Args:
        made: the plan.
        by: who erases.
        at: aware.

    Raises:
        StoreUnavailable, LedgerUnavailable: they cannot be used; to be done again.
    """
    bury(made.run.home, made.concerned, by=by, at=at)
    return clear(made.run.home, made.graves, now=at, after=made.seq)


def _chosen(run: Run, choice: Choice) -> tuple[Part, ...]:
    wanted = {f"artifact {name}" for name in choice.artifacts}
    there: list[Part] = []
    for record in _records(run):
        there += [part for part in parts_of(record, kept_of(run.home, record)) if part not in there]
    for name in choice.artifacts:
        if run.record.artifact(name) is None:
            raise NotFound(
                f"run {run.id} left no artifact {name!r}", expected=f"one of: {', '.join(run.artifacts) or 'none'}"
            )
    chosen = tuple(part for part in there if part.kind in choice.kinds or part.name in wanted)
    if not chosen and not (choice.kinds or wanted):
        raise CallerError("nothing was chosen to be erased", expected="an artifact, its output, its source, or all")
    return chosen


def _records(run: Run) -> Iterator[RunRecord]:
    """Yield the run's record, and that of a second ending where it has one."""
    for stored in run.home.ledger.events(run.id):
        for run_id, digest in records_of(stored.event):
            yield RunRecord.from_bytes(run.home.read(digest, run_id))
