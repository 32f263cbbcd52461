"""Events by which people say what they think of a run or a published version; each is signed."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.digest import Digest
from nbprod.ledger.event import RunEvent, StepEvent
from nbprod.record.ids import RunId
from nbprod.record.review import Decision, Review

__all__ = ["RunReviewed", "StepReviewed", "reviewed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReviewed(RunEvent):
    """Someone approved or rejected a run, signed it off, or took that back.

    Args:
        decision: what was decided.
        by: who.
        why: the reason given.
        capacity: of a sign-off: the respect in which the run is fine.
        record: the digest of the record that was looked at.
        log: the name of the log in which it is said.
        attestation: the signed envelope of the `Review`.
    """

    decision: Decision
    by: str
    why: str
    capacity: str = ""
    record: Digest
    log: str = ""
    attestation: Digest

    @property
    def review(self) -> Review:
        """What is signed."""
        return _review(self, str(self.run_id), self.record)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReviewed(StepEvent):
    """Someone approved or rejected a published version, signed it off, or took that back.

    Args:
        number: the version.
        decision: what was decided.
        by: who.
        why: the reason given.
        capacity: of a sign-off: the respect in which the version is fine.
        manifest: the digest of the version's manifest.
        log: the name of the log in which it is said.
        attestation: the signed envelope of the `Review`.
    """

    number: int
    decision: Decision
    by: str
    why: str
    capacity: str = ""
    manifest: Digest
    log: str = ""
    attestation: Digest

    @property
    def review(self) -> Review:
        """What is signed."""
        return _review(self, f"{self.step}@{self.number}", self.manifest)


def _review(event: RunReviewed | StepReviewed, of: str, digest: Digest) -> Review:
    return Review(
        of=of,
        digest=digest,
        decision=event.decision,
        at=event.at,
        by=event.by,
        why=event.why,
        capacity=event.capacity,
        log=event.log,
    )


def reviewed(review: Review, attestation: Digest) -> RunReviewed | StepReviewed:
    """Make the event that a review states.

    Args:
        review: what was said.
        attestation: the digest of its signed envelope.

    Raises:
        CallerError, ValueError: it is of neither a run nor a version.
    """
    step, at, number = review.of.rpartition("@")
    if at:
        return StepReviewed(
            at=review.at,
            step=step,
            number=int(number),
            decision=review.decision,
            by=review.by,
            why=review.why,
            capacity=review.capacity,
            manifest=review.digest,
            log=review.log,
            attestation=attestation,
        )
    return RunReviewed(
        at=review.at,
        run_id=RunId(review.of),
        decision=review.decision,
        by=review.by,
        why=review.why,
        capacity=review.capacity,
        record=review.digest,
        log=review.log,
        attestation=attestation,
    )
