"""Verifying a whole log: every event hashed again, every root made anew, and then every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nbprod.attest.checkpoint import Checkpoint
from nbprod.errors import IntegrityError, ObjectUnreadable, UnsupportedVersion
from nbprod.ledger.events import Event, RunFinished, from_json
from nbprod.ledger.log import Leaf, NoteKind
from nbprod.ledger.values import read_json
from nbprod.merkle import CompactRange, leaf_hash
from nbprod.record.counted import counted
from nbprod.record.ids import RunId
from nbprod.record.review import Wanted
from nbprod.verify.included import Prove, fault_of, proof_by, proof_in
from nbprod.verify.objects import Objects
from nbprod.verify.outcome import Check, Conclusion, Outcome, Verification
from nbprod.verify.run import Evidence, unreadable, verify_dossier
from nbprod.verify.steps import Moved, Version, judge_step
from nbprod.verify.survey import Survey, opened

__all__ = ["Pages", "verify_log"]

_STEP = 4
_NAME = "log"
_MOST = 20
"""Faults of events that are told one by one."""
_PAGE = 200
"""Runs that the ledger is asked for at once."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What is needed to verify runs of a log that was hashed as a whole, also in another process.

    Args:
        survey: what was found out about the log as a whole; a moment later it may be longer.
        hashes: of all leaves, one behind the other; None: the log is not sound, and each event asks it for a proof.
    """

    survey: Survey
    hashes: bytes | None

    def verify(self, page: Sequence[RunId], evidence: Evidence, objects: Objects | None) -> list[Verification]:
        """Verify some runs, of which the ledger is asked at once.

        Args:
            page: a few hundred at most.
            evidence: what they are verified against; what it says of the log as a whole does not count.
            objects: reads what records name; None: it is not to be read.
        """
        alone = replace(evidence, survey=replace(self.survey, checks=()))
        # Where the hashes' root is the checkpoint's, a proof for each would say no more.
        prove = proof_in(evidence.ledger.log, alone.newest) if self.hashes is None else proof_by(self.hashes)
        return list(_runs(page, alone, prove, objects))


Share = Callable[[Pages, Sequence[Sequence[RunId]]], Iterator[list[Verification]] | None]
"""Has pages of runs verified by several processes, in their order; None: that is not worth it."""


def verify_log(
    evidence: Evidence, looked: Callable[[int], None] = lambda _: None, share: Share = lambda *_: None
) -> Iterator[Verification]:
    """Yield what the log comes to, then each run that has ended, with some 100 bytes for each event in memory.

    Args:
        evidence: what is verified, and against what.
        looked: hears how many runs were verified.
        share: lets other processes help.

    Raises:
        LedgerUnavailable, StoreUnavailable: they cannot be read.
    """
    current = evidence.trust.current
    ended: list[RunId] = []
    hashes = bytearray()
    log = (*_events(evidence, ended, hashes), *evidence.survey.checks)
    name = "the log" if current is None else current.log
    yield Verification(subject=name, checks=(*log, *_steps(evidence), *_index(evidence)))
    pages = [ended[begin : begin + _PAGE] for begin in range(0, len(ended), _PAGE)]
    sound = bool(Verification(subject=name, checks=log))
    how = Pages(evidence.survey, bytes(hashes) if sound else None)
    objects = evidence.objects
    count = 0
    for found in share(how, pages) or (how.verify(page, evidence, objects) for page in pages):
        yield from found
        count += len(found)
        looked(count)


def _runs(page: Sequence[RunId], evidence: Evidence, prove: Prove, objects: Objects | None) -> Iterator[Verification]:
    """Verify some runs; where the ledger's part of one of them cannot be read, each is asked for alone."""
    try:
        dossiers = evidence.ledger.dossiers(page)
    except (IntegrityError, ValueError) as error:
        if len(page) == 1:
            yield unreadable(page[0], evidence, error)
            return
        for each in page:
            yield from _runs([each], evidence, prove, objects)
        return
    for dossier in dossiers:
        yield verify_dossier(dossier, evidence, prove, objects)


def _events(evidence: Evidence, ended: list[RunId], hashes: bytearray) -> Iterator[Check]:
    """Hash every event, and compare the roots at the sizes of all checkpoints; note hashes and the runs that ended."""
    wanted: dict[int, set[bytes]] = {}
    faults: list[str] = []
    for checkpoint in _checkpoints(evidence, faults):
        wanted.setdefault(checkpoint.size, set()).add(checkpoint.root)
    tree = CompactRange()
    for leaf in _leaves(evidence, faults):
        if leaf.index != tree.size:
            faults.append(f"place {tree.size} is missing")
            break
        event, fault = _event_of(leaf)
        faults += [] if fault is None else [fault]
        if isinstance(event, RunFinished):
            ended.append(event.run_id)
        hashed = leaf_hash(leaf.body or b"")
        hashes += hashed
        tree = tree.extend([hashed])
        if tree.size in wanted and wanted[tree.size] != {tree.root}:
            faults.append(f"the first {counted(tree.size, 'event')}: not those that a checkpoint covers")
    faults += [
        f"a checkpoint covers {counted(size, 'event')}: the end was cut off" for size in wanted if size > tree.size
    ]
    yield from (Check.failed(_STEP, _NAME, fault, Conclusion.ALTERED) for fault in faults[:_MOST])
    if len(faults) > _MOST:
        yield Check.failed(_STEP, _NAME, f"and {len(faults) - _MOST} more", Conclusion.ALTERED)
    if not faults:
        were = "was hashed, and is" if tree.size == 1 else "were hashed, and are"
        cover = "covers" if len(wanted) == 1 else "cover"
        told = f"{counted(tree.size, 'event')} {were} what {counted(len(wanted), 'checkpoint')} {cover}"
        yield Check.passed(_STEP, _NAME, told)
    if waiting := evidence.ledger.log.waiting():
        have = "has" if waiting == 1 else "have"
        yield Check.later(_STEP, _NAME, f"{counted(waiting, 'event')} {have} no place in the log yet")


def _steps(evidence: Evidence) -> Iterator[Check]:
    """Judge all that is told of published steps: what is not right one by one, the rest in numbers."""
    signed = unsigned = 0
    try:
        published = sorted({each.step for each in evidence.ledger.published()})
    except IntegrityError as error:
        yield Check.failed(2, "steps", str(error), Conclusion.ALTERED)
        return
    for step in published:
        try:
            versions, moves = judge_step(step, evidence.ledger, evidence.court())
        except ObjectUnreadable as error:
            yield Check.open(2, "steps", f"what is told of {step} cannot be judged: {error}")
            continue
        except IntegrityError as error:
            yield Check.failed(2, "steps", f"what is told of {step} cannot be judged: {error}", Conclusion.ALTERED)
            continue
        now = {move.event.alias: move for move in moves}  # of each, where it is now
        yield from _guarded(now, versions, evidence.guarded)
        for check in (*(check for each in versions.values() for check in each.checks), *(each.check for each in moves)):
            if check.outcome is Outcome.PASSED:
                signed += 1
            elif check.outcome is Outcome.NOT_APPLICABLE:
                unsigned += 1
            else:
                yield check
    if signed or unsigned:
        told = f"of what is told of published steps, {signed} statements are signed, and {unsigned} are not"
        yield Check.passed(2, "steps", told) if signed else Check.beside(2, "steps", told)


def _index(evidence: Evidence) -> Iterator[Check]:
    """See that the index has nothing that no event tells of; of each run it is compared with the run's own events."""
    faults = evidence.ledger.strays()
    yield from (Check.failed(3, "index", fault, Conclusion.ALTERED) for fault in faults)
    if not faults:
        told = "it tells of no other runs than the events, and of published steps what they tell"
        yield Check.passed(3, "index", told)


def _guarded(
    moves: Mapping[str, Moved], versions: Mapping[int, Version], guarded: Mapping[str, Wanted]
) -> Iterator[Check]:
    """Yield guarded aliases that somebody moved who may not, past the commands, or whose version was rejected since."""
    for alias, move in moves.items():
        number = move.event.number
        if alias not in guarded or number is None:
            continue
        where = f"{move.event.step}@{alias} points at version {number}"
        if move.check.outcome is not Outcome.PASSED:
            yield Check.open(2, "alias move", f"{where}, and nobody who may has signed that")
        version = versions.get(number)
        missing = () if version is None else version.standing.missing(guarded[alias], version.author)
        yield from (Check.open(6, "alias", f"{where}, and asks for more than stands: {told}") for told in missing)


def _leaves(evidence: Evidence, faults: list[str]) -> Iterator[Leaf]:
    """Yield the leaves as far as they can be read."""
    try:
        yield from evidence.ledger.log.leaves()
    except IntegrityError as error:
        faults.append(f"the log cannot be read any further: {error}")


def _checkpoints(evidence: Evidence, faults: list[str]) -> Iterator[Checkpoint]:
    """Yield every checkpoint that a key of the log has signed where it has a say, whether it fits or not."""
    yield from (signed.checkpoint for signed in evidence.survey.signed)
    for note in evidence.ledger.log.notes(NoteKind.CHECKPOINT):
        try:
            signed = opened(note.body, "the log's own", evidence.trust)
        except IntegrityError as error:
            faults.append(f"what is kept as a checkpoint (note {note.number}) is none: {error}")
        else:
            yield from [signed.checkpoint] if signed.has_say else []


def _event_of(leaf: Leaf) -> tuple[Event | None, str | None]:
    """Return the event at a place, and what is wrong with it."""
    if leaf.body is None:
        return None, f"the event at place {leaf.index} is not there any more"
    try:
        event = from_json(read_json(leaf.body.decode()))
    except (IntegrityError, UnsupportedVersion, ValueError) as error:
        return None, f"the event at place {leaf.index} cannot be read: {error}"
    return event, fault_of(leaf, event)
