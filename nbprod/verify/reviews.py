"""What people have said of a run or a published version, each judged by its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nbprod.attest.keyfile import Role
from nbprod.digest import Digest, digest_bytes
from nbprod.ledger.events import RunReviewed, StepReviewed
from nbprod.ledger.ledger import StoredEvent
from nbprod.record.review import Decision, Review
from nbprod.verify.said import Court, Said, altered, not_counted

__all__ = ["Spoken", "judge_reviews"]

_SUBJECT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What somebody said, and whether it counts.

    Args:
        review: what was said.
        said: what came of its signature.
    """

    review: Review
    said: Said

    def __str__(self) -> str:
        """Return who said it: the name, and the key where it counts."""
        key = "" if self.said.key_id is None else f" (key {self.said.key_id[:8]}, {self.said.label})"
        return f"{self.review.by}{key}"


def judge_reviews(events: Sequence[StoredEvent], subject: Digest | None, court: Court) -> tuple[Spoken, ...]:
    """Judge all that was said of a run or of a version, in the order of the log.

    Args:
        events: among them those that tell what was said.
        subject: the run's record, or the version's manifest; None: nobody knows any more.
        court: judges signatures.
    """
    made = [stored for stored in events if isinstance(stored.event, RunReviewed | StepReviewed)]
    before: set[Digest] = set()
    spoken: list[Spoken] = []
    for stored in sorted(made, key=lambda each: (court.place(each), each.seq)):
        event = stored.event
        assert isinstance(event, RunReviewed | StepReviewed)  # noqa: S101 - chosen so
        review = event.review
        statement = digest_bytes(review.to_bytes())
        said = _judge(stored, event, court, subject)
        if statement in before:
            told = f"{_told(review)}: it was said once, and stands here again"
            said = altered(_SUBJECT, review.name, told)
        before.add(statement)
        spoken.append(Spoken(review=review, said=said))
    return tuple(spoken)


def _judge(stored: StoredEvent, event: RunReviewed | StepReviewed, court: Court, subject: Digest | None) -> Said:
    review = event.review
    told = _told(review)
    said = court.judge(
        review.name,
        told,
        stored,
        attestation=event.attestation,
        statement=digest_bytes(review.to_bytes()),
        roles=(Role.REVIEWER,),
    )
    if said.key_id is None:
        return said
    if subject is not None and review.digest != subject:
        return altered(_SUBJECT, review.name, f"{told}: that was of something else")
    current = court.trust.current
    if review.log != (here := "" if current is None else current.log):
        there = review.log or "one without a name"
        called = f"this one is called {here}" if here else "this one has no list of keys, and no name"
        why = f"it was said in another log, {there}; {called}, and it has to be said again here"
        return not_counted(review.name, told, why)
    return said


_WORDS: Mapping[Decision, str] = {
    Decision.APPROVED: "approved it",
    Decision.REJECTED: "rejected it",
    Decision.SIGNED_OFF: "signed it off",
    Decision.WITHDRAWN: "took back what was said of it",
}


def _told(review: Review) -> str:
    aspect = f" as {review.capacity}" if review.capacity else ""
    why = f", because: {review.why}" if review.why else ""
    return f"{review.by} {_WORDS[review.decision]}{aspect} on {review.at:%Y-%m-%d %H:%M} UTC{why}"
