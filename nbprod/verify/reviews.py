"""What people have said of a run or a published version, and what of it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nbprod.attest.keyfile import Role
from nbprod.digest import Digest, digest_bytes
from nbprod.ledger.events import RunReviewed, StepReviewed
from nbprod.ledger.ledger import StoredEvent
from nbprod.record.review import Decision, Review, Wanted
from nbprod.verify.outcome import Check
from nbprod.verify.said import KEY, Court, Said, altered

__all__ = ["Author", "Spoken", "Standing", "judge_reviews", "standing"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Whose work was looked at.

    Args:
        key_id: the key that signed it; None: it is not signed.
        label: what that key is called.
        user: the user's name.
    """

    key_id: str | None = None
    label: str | None = None
    user: str = ""

    def said(self, spoken: Spoken) -> bool:
        """Return whether it was the author who said that, as far as one can see: by key, by label, or by name."""
        said = spoken.said
        return said.key_id == self.key_id or said.label == self.label or spoken.review.by == self.user


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands when all has been said.

    Args:
        approvals: by whom it is approved, one for each key.
        rejections: by whom it is rejected, one for each key.
        sign_offs: in which respects it is fine, and by whom; one for each key and respect.
    """

    approvals: tuple[Spoken, ...] = ()
    rejections: tuple[Spoken, ...] = ()
    sign_offs: tuple[Spoken, ...] = ()

    @property
    def word(self) -> str:
        """`rejected` as soon as anybody rejects it, `approved` if somebody approves it; else empty."""
        if self.rejections:
            return str(Decision.REJECTED)
        return str(Decision.APPROVED) if self.approvals else ""

    def missing(self, wanted: Wanted, author: Author) -> Iterator[str]:
        """Yield, in words, what is wanted and was not said, or was said and stands against it.

        Args:
            wanted: what is wanted.
            author: whose work it is.
        """
        if wanted and wanted.by_others and author.key_id is None:
            yield "nobody signed whose work it is, so that others cannot be told from its author"
        for each in self.rejections:
            yield f"{each} rejected it: {each.review.why}"

        def count(spoken: Iterable[Spoken]) -> list[Spoken]:
            return [
                each
                for each in spoken
                if not (wanted.by_others and author.said(each)) and not (wanted.own_keys and each.said.development)
            ]

        def different(spoken: Iterable[Spoken]) -> list[Spoken]:  # somebody's old key and his new one have one label
            return list({each.said.label or each.said.key_id: each for each in spoken}.values())

        approved = different(count(self.approvals))
        if len(approved) < wanted.approvals:
            others = " by others than its author" if wanted.by_others else ""
            names = f" ({', '.join(map(str, approved))})" if approved else ""
            word = "approval" if len(approved) == 1 else "approvals"
            yield f"{len(approved) or 'no'} {word}{others}{names}, and {wanted.approvals} wanted"
            yield from (f"that of {each} does not count for this" for each in self.approvals if each not in approved)
        done = {each.review.capacity for each in count(self.sign_offs)}
        yield from (
            f"no sign-off as {name!r}{' that counts' * any(e.review.capacity == name for e in self.sign_offs)}"
            for name in wanted.sign_offs
            if name not in done
        )


@dataclass(slots=True)
class _Book:
    """Who said what last, by key."""

    decided: dict[str, Spoken] = field(default_factory=dict)
    signed: dict[tuple[str, str], Spoken] = field(default_factory=dict)

    def enter(self, key_id: str, spoken: Spoken) -> None:
        review = spoken.review
        if review.decision is Decision.SIGNED_OFF:
            self.signed[key_id, review.capacity] = spoken
            return
        self.decided[key_id] = spoken
        if review.decision is not Decision.APPROVED:  # who rejects it, or takes all back, signs nothing off either
            self.signed = {pair: each for pair, each in self.signed.items() if pair[0] != key_id}


def standing(said: Iterable[Spoken]) -> Standing:
    """Return what stands: of each key, what it said last; a rejection stands until the same key takes it back.

    Args:
        said: all that was said, in the order of the log.
    """
    book = _Book()
    for spoken in said:
        if spoken.said.key_id is not None:
            book.enter(spoken.said.key_id, spoken)
    decided = book.decided.values()
    return Standing(
        approvals=tuple(each for each in decided if each.review.decision is Decision.APPROVED),
        rejections=tuple(each for each in decided if each.review.decision is Decision.REJECTED),
        sign_offs=tuple(book.signed.values()),
    )


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
    if current is not None and review.log != current.log:
        why = "it was said in another log"
        return Said(Check.passed_over(KEY, review.name, f"{told}, which does not count: {why}"))
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
