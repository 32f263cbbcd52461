"""Verifying one run, step by step; the numbers are those of docs/how-to/verify.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nbprod.attest.keyring import DEVELOPMENT
from nbprod.digest import Digest
from nbprod.errors import CallerError, IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger import Ledger, RunRow, StoredEvent
from nbprod.ledger.events import BytesErased, RunFinished
from nbprod.record.ids import RunId
from nbprod.record.run_record import RunRecord
from nbprod.runner.spooled import where_bytes_wait
from nbprod.store import Store
from nbprod.verify.content import check_events, check_objects, check_second_endings, check_tombstones, erased_of
from nbprod.verify.erasures import judge_tombstones
from nbprod.verify.included import check_included
from nbprod.verify.outcome import Check, Conclusion, Outcome, Verification
from nbprod.verify.policy import Known, Policy
from nbprod.verify.reproduced import check_reproductions
from nbprod.verify.reviews import Author, Spoken, judge_reviews, standing
from nbprod.verify.said import Court
from nbprod.verify.signature import SignedBy, check_key, check_signature
from nbprod.verify.stored import lost
from nbprod.verify.survey import Survey
from nbprod.verify.trust import Trust

__all__ = ["Evidence", "spoken_of", "verify_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What runs are verified against.

    Args:
        ledger: has their events.
        store: has their bytes.
        trust: whose signatures count.
        survey: what was found out about the log as a whole.
        policy: what is asked for beyond soundness.
        left_out: inputs that a bundle does without, by choice of who made it.
        guarded: the aliases of published steps that only who may is to move.
    """

    ledger: Ledger
    store: Store
    trust: Trust
    survey: Survey
    policy: Policy = field(default_factory=Policy)
    left_out: frozenset[Digest] = frozenset()
    guarded: frozenset[str] = frozenset()

    @property
    def court(self) -> Court:
        """What statements of people are judged by."""
        return Court(log=self.ledger.log, store=self.store, trust=self.trust, size=self.survey.size)


@dataclass(frozen=True, slots=True)
class _Read:
    """A run's events, its row in the index, and how many events there were before the row was read."""

    events: tuple[StoredEvent, ...]
    row: RunRow | None
    before: int


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
    checks = tuple(sorted(_checks(run_id, evidence), key=lambda check: check.step))
    return Verification(subject=str(run_id), checks=checks)


def _checks(run_id: RunId, evidence: Evidence) -> Iterator[Check]:
    yield from evidence.survey.checks
    try:
        read = _read(run_id, evidence.ledger)
    except (IntegrityError, UnsupportedVersion, ValueError) as error:
        yield _altered(4, "inclusion", f"an event of the run cannot be read: {error}")
        return
    end = next((stored for stored in read.events if isinstance(stored.event, RunFinished)), None)
    newest = evidence.survey.newest
    included = check_included(evidence.ledger.log, read.events, None if newest is None else newest.checkpoint)
    yield from included
    if end is None:
        yield _without_end(read.row)
        return
    signed, record = SignedBy(()), None
    try:
        signed, record, found = _recorded(run_id, read, end, evidence)
        yield from found
    except UnsupportedVersion as error:
        yield Check.open(3, "record", str(error))
    trust = evidence.trust
    spoken = spoken_of(read.events, evidence)
    yield from (each.said.check for each in spoken)
    label = None if signed.key_id is None else trust.label(signed.key_id)
    known = Known(
        covered=all(check.outcome is Outcome.PASSED for check in included),
        label=DEVELOPMENT if label is not None and label.startswith(DEVELOPMENT) else label,
        listed=trust.current is not None,
        pinned=trust.pinned,
        standing=standing(spoken),
        author=Author(
            key_id=signed.key_id,
            label=label,
            user="" if record is None else record.user,
        ),
        git=None if record is None else record.git,
    )
    yield from evidence.policy.checks(known, development=DEVELOPMENT)


def spoken_of(events: Sequence[StoredEvent], evidence: Evidence) -> tuple[Spoken, ...]:
    """Return what people have said of a run, each with what came of it.

    Args:
        events: of the run.
        evidence: what it is verified against.
    """
    end = next((stored.event for stored in events if isinstance(stored.event, RunFinished)), None)
    return judge_reviews(events, None if end is None else end.record, evidence.court)


def _read(run_id: RunId, ledger: Ledger) -> _Read:
    before = sum(1 for _ in ledger.events(run_id))
    row = _row(run_id, ledger)
    return _Read(tuple(ledger.events(run_id)), row, before)


def _without_end(row: RunRow | None) -> Check:
    if row is not None and row.status is not None:
        return _altered(3, "events", "the index says that the run has ended, and no event does")
    return Check.open(3, "events", "the run has not ended: it has no record yet")


def _recorded(
    run_id: RunId, read: _Read, end: StoredEvent, evidence: Evidence
) -> tuple[SignedBy, RunRecord | None, list[Check]]:
    """Return what a run's record, its signature and its bytes come to."""
    event, store, trust = end.event, evidence.store, evidence.trust
    assert isinstance(event, RunFinished)  # noqa: S101 - chosen so
    waits = where_bytes_wait(evidence.ledger, run_id)
    try:
        data = store.get(event.record)
        record = RunRecord.from_bytes(data)
    except NotFound:
        found = lost(3, "record", store, event.record, "the record")
        if waits is not None and found.means is Conclusion.INCOMPLETE:
            found = Check.open(3, "record", f"the record may wait in the spool of {waits}: run `nbprod recover` there")
        return SignedBy(()), None, [found]
    except IntegrityError as error:
        return SignedBy(()), None, [_altered(3, "record", str(error))]
    leaf = evidence.ledger.log.leaf_of(end.seq)
    signed = check_signature(event.attestation, data, record, store, trust)
    buried = [stored for stored in read.events if isinstance(stored.event, BytesErased)]
    stones = [stored.event for stored in buried if isinstance(stored.event, BytesErased)]
    checks = [
        *signed.checks,
        check_key(signed, trust, None if leaf is None else leaf.index, evidence.survey.size),
        *check_objects(record, store, erased_of(stones), waits, evidence.left_out),
        *check_tombstones(stones, store),
        *judge_tombstones(buried, evidence.court),
        *check_events(read.events, record, read.row, before=read.before),
        *check_second_endings(read.events, store),
        *check_reproductions(read.events, store, trust),
    ]
    return signed, record, checks


def _row(run_id: RunId, ledger: Ledger) -> RunRow | None:
    try:
        return ledger.run(run_id)
    except (CallerError, ValueError, TypeError):  # it is not there, or its columns hold what no run has
        return None


def _altered(step: int, name: str, told: str) -> Check:
    return Check.failed(step, name, told, Conclusion.ALTERED)
