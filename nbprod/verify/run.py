"""Verifying one run, step by step; the numbers are those of docs/how-to/verify.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from nbprod.attest.checkpoint import Checkpoint
from nbprod.attest.keyring import DEVELOPMENT
from nbprod.bundle.views import BundleLog
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound, ObjectUnreadable, UnsupportedVersion
from nbprod.ledger import Dossier, Ledger, StoredEvent
from nbprod.ledger.events import BytesErased, RunFinished
from nbprod.ledger.log import Leaf
from nbprod.record.ids import RunId
from nbprod.record.review import Wanted
from nbprod.record.run_record import RunRecord
from nbprod.runner.spooled import where_waiting
from nbprod.store import Store
from nbprod.verify.content import check_events, check_objects, check_second_endings, check_tombstones, erased_of
from nbprod.verify.erasures import judge_tombstones
from nbprod.verify.included import ASK, MAKE, Prove, check_included, newest_in, proof_in
from nbprod.verify.objects import Objects
from nbprod.verify.outcome import Check, Conclusion, Outcome, Verification
from nbprod.verify.policy import Known, Policy
from nbprod.verify.reproduced import check_reproductions
from nbprod.verify.reviews import Spoken, judge_reviews
from nbprod.verify.said import Court
from nbprod.verify.signature import SignedBy, check_key, check_signature
from nbprod.verify.standing import Author, standing
from nbprod.verify.stored import lost
from nbprod.verify.survey import Survey
from nbprod.verify.trust import Trust

__all__ = ["Evidence", "spoken_of", "unreadable", "verify_dossier", "verify_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What runs are verified against.

    Args:
        ledger: has their events.
        store: has their bytes.
        trust: whose signatures count.
        survey: what was found out about the log as a whole.
        policy: what is asked for beyond soundness.
        reads: whether everything that records name is read and hashed.
        left_out: inputs that a bundle does without, by choice of who made it.
        guarded: the aliases of published steps that only who may is to move, with what people must have said.
    """

    ledger: Ledger
    store: Store
    trust: Trust
    survey: Survey
    policy: Policy = field(default_factory=Policy)
    reads: bool = True
    left_out: frozenset[Digest] = frozenset()
    guarded: Mapping[str, Wanted] = field(default_factory=dict)

    @property
    def newest(self) -> Checkpoint | None:
        """The newest checkpoint, if there are proofs for its tree."""
        found = self.survey.newest
        return None if found is None else newest_in(self.ledger.log, found.checkpoint)

    @property
    def objects(self) -> Objects | None:
        """What reads the objects that records name; None: they are not to be read."""
        return Objects(self.store) if self.reads else None

    def court(self, leaf_of: Callable[[int], Leaf | None] | None = None) -> Court:
        """Return what statements of people are judged by.

        Args:
            leaf_of: returns an event's leaf by its number; None: the log is asked.
        """
        return Court(
            leaf_of=leaf_of or self.ledger.log.leaf_of, store=self.store, trust=self.trust, size=self.survey.size
        )


def verify_run(run_id: RunId, evidence: Evidence) -> Verification:
    """Verify a run.

    Left to the caller: that the verifier itself, and the machine that it runs on, are sound; that the root key is the
    right one; that what the runner recorded was so.

    Args:
        run_id: which.
        evidence: what it is verified against.

    Raises:
        LedgerUnavailable, StoreUnavailable: they cannot be read.
    """
    try:
        (dossier,) = evidence.ledger.dossiers([run_id])
    except (IntegrityError, ValueError) as error:
        return unreadable(run_id, evidence, error)
    return verify_dossier(dossier, evidence, proof_in(evidence.ledger.log, evidence.newest), evidence.objects)


def verify_dossier(dossier: Dossier, evidence: Evidence, prove: Prove, objects: Objects | None) -> Verification:
    """Verify a run of which it was read what the ledger has.

    Args:
        dossier: that.
        evidence: what it is verified against.
        prove: proves events' places in the newest checkpoint's tree.
        objects: reads what the record names; None: it is not to be read.
    """
    checks: list[Check] = []
    try:
        checks.extend(_checks(dossier, evidence, prove, objects))
    except ObjectUnreadable as error:
        checks.append(Check.open(3, "record", str(error)))
    return Verification(subject=str(dossier.run_id), checks=tuple(sorted(checks, key=lambda check: check.step)))


def unreadable(run_id: RunId, evidence: Evidence, error: Exception) -> Verification:
    """Return what it means that the ledger's part of a run cannot be read."""
    return Verification(subject=str(run_id), checks=(*evidence.survey.checks, _unreadable(str(error))))


def _checks(dossier: Dossier, evidence: Evidence, prove: Prove, objects: Objects | None) -> Iterator[Check]:
    yield from evidence.survey.checks
    if dossier.fault is not None:
        yield _unreadable(dossier.fault)
        return
    end = next((stored for stored in dossier.events if isinstance(stored.event, RunFinished)), None)
    remedy = ASK if isinstance(evidence.ledger.log, BundleLog) else MAKE
    included = check_included(dossier.events, dossier.leaves.get, evidence.newest, prove, remedy=remedy)
    yield from included
    if end is None:
        yield from _without_end(dossier)
        return
    yield from _ending(end)
    signed, record = SignedBy(()), None
    try:
        signed, record, found = _recorded(dossier, end, evidence, objects)
        yield from found
    except UnsupportedVersion as error:
        yield Check.open(3, "record", str(error))
    trust = evidence.trust
    spoken = spoken_of(dossier.events, evidence, dossier.leaves.get)
    yield from (each.said.check for each in spoken)
    label = None if signed.key_id is None else trust.label(signed.key_id)
    known = Known(
        covered=all(check.outcome is Outcome.PASSED for check in included),
        label=DEVELOPMENT if label is not None and label.startswith(DEVELOPMENT) else label,
        listed=trust.current is not None,
        pinned=trust.pinned or trust.unvouched,  # of one that was named in vain it is told already
        standing=standing(spoken),
        author=Author(
            key_id=signed.key_id,
            label=label,
            user="" if record is None else record.user,
        ),
        git=None if record is None else record.git,
    )
    yield from evidence.policy.checks(known, development=DEVELOPMENT)


def spoken_of(
    events: Sequence[StoredEvent], evidence: Evidence, leaf_of: Callable[[int], Leaf | None] | None = None
) -> tuple[Spoken, ...]:
    """Return what people have said of a run, each with what came of it.

    Args:
        events: of the run.
        evidence: what it is verified against.
        leaf_of: returns an event's leaf by its number; None: the log is asked.
    """
    end = next((stored.event for stored in events if isinstance(stored.event, RunFinished)), None)
    return judge_reviews(events, None if end is None else end.record, evidence.court(leaf_of))


def _ending(end: StoredEvent) -> Iterator[Check]:
    """Tell of a run that did not succeed: that its record is sound says nothing about how it ended."""
    event = end.event
    if isinstance(event, RunFinished) and not event.status.good:
        told = f"the run did not succeed, it ended as {event.status}: verified is that this was recorded"
        yield Check.beside(3, "ending", told)


def _without_end(dossier: Dossier) -> Iterator[Check]:
    if dossier.ended:
        yield _altered(3, "events", "the index says that the run has ended, and no event does")
        return
    yield from (_altered(3, "events", fault) for fault in dossier.differs)
    yield Check.open(3, "events", "the run has not ended: it has no record yet")


def _recorded(
    dossier: Dossier, end: StoredEvent, evidence: Evidence, objects: Objects | None
) -> tuple[SignedBy, RunRecord | None, list[Check]]:
    """Return what a run's record, its signature and its bytes come to."""
    event, store, trust = end.event, evidence.store, evidence.trust
    assert isinstance(event, RunFinished)  # noqa: S101 - chosen so
    waits = where_waiting(dossier.events)
    try:
        data = store.get(event.record)
        record = RunRecord.from_bytes(data)
    except NotFound:
        found = lost(3, "record", store, event.record, "the record")
        if waits is not None and found.means is Conclusion.INCOMPLETE:
            found = Check.open(
                3, "record", f"the record may wait in the spool of {waits}: `nbprod recover` there delivers it"
            )
        return SignedBy(()), None, [found]
    except IntegrityError as error:
        return SignedBy(()), None, [_altered(3, "record", str(error))]
    leaf = dossier.leaves.get(end.seq)
    signed = check_signature(event.attestation, data, record, store, trust)
    buried = [stored for stored in dossier.events if isinstance(stored.event, BytesErased)]
    stones = [stored.event for stored in buried if isinstance(stored.event, BytesErased)]
    checks = [
        *signed.checks,
        check_key(signed, trust, None if leaf is None else leaf.index, evidence.survey.size),
        *check_objects(record, objects, erased_of(stones), waits, evidence.left_out),
        *check_tombstones(stones, store),
        *judge_tombstones(buried, evidence.court(dossier.leaves.get)),
        *check_events(dossier, record),
        *(() if objects is None else check_second_endings(dossier.events, objects)),
        *check_reproductions(dossier.events, evidence.court(dossier.leaves.get), partial(_record_in, evidence.ledger)),
    ]
    return signed, record, checks


def _record_in(ledger: Ledger, run_id: RunId) -> Digest | None:
    """Return the digest of a run's record as its end names it; None if it is not in a ledger."""
    ends = (stored.event for stored in ledger.events(run_id))
    return next((event.record for event in ends if isinstance(event, RunFinished)), None)


def _unreadable(told: str) -> Check:
    return _altered(4, "inclusion", f"an event of the run cannot be read: {told}")


def _altered(step: int, name: str, told: str) -> Check:
    return Check.failed(step, name, told, Conclusion.ALTERED)
