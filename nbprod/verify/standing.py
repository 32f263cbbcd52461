"""What stands when all has been said of a run or a published version, and why the rest does not count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from nbprod.record.review import Decision, Wanted
from nbprod.verify.outcome import Conclusion
from nbprod.verify.reviews import Spoken

__all__ = ["Author", "Standing", "Void", "later", "standing"]


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

    def said(self, spoken: Spoken) -> str:
        """Return, in words, by what it is seen that the author said that: key, label, or name; empty: somebody else."""
        said = spoken.said
        if said.key_id == self.key_id:
            return "the same key signed the work itself"
        if said.label == self.label:
            return f"the key that signed the work is called {self.label}, too"
        return f"the work is {self.user}'s own" if spoken.review.by == self.user else ""


@dataclass(frozen=True, slots=True)
class Void:
    """An approval or a sign-off that was given and does not count, and why: in words."""

    spoken: Spoken
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands when all has been said.

    Args:
        approvals: by whom it is approved, one for each key.
        rejections: by whom it is rejected, one for each key.
        sign_offs: in which respects it is fine, and by whom; one for each key and respect.
        void: approvals and sign-offs that were given and do not count: by keys that may not, or taken back.
    """

    approvals: tuple[Spoken, ...] = ()
    rejections: tuple[Spoken, ...] = ()
    sign_offs: tuple[Spoken, ...] = ()
    void: tuple[Void, ...] = ()

    @property
    def word(self) -> str:
        """`rejected` as soon as anybody rejects it, `approved` if somebody approves it; else empty."""
        if self.rejections:
            return str(Decision.REJECTED)
        return str(Decision.APPROVED) if self.approvals else ""

    @property
    def brief(self) -> str:
        """It in a word or two, for a table: `rejected`, `approved`, `approved 2`, `signed off`; empty: nothing."""
        if not self.word:
            return "signed off" if self.sign_offs else ""
        many = len(self.rejections or self.approvals)
        return f"{self.word} {many}" if many > 1 else self.word

    @property
    def against(self) -> tuple[str, ...]:
        """Who rejects it, and why; for people."""
        return tuple(f"{each} rejected it: {each.review.why}" for each in self.rejections)

    def missing(self, wanted: Wanted, author: Author) -> Iterator[str]:
        """Yield, in words, what is wanted and was not said, or was said and stands against it, or does not count.

        Args:
            wanted: what is wanted.
            author: whose work it is.
        """
        if wanted and wanted.by_others and author.key_id is None:
            yield "nobody signed whose work it is, so that others cannot be told from its author"
        yield from self.against
        count = _Count(wanted, author)
        approved = count.different(self.approvals)
        if len(approved) < wanted.approvals:
            others = " by others than its author" if wanted.by_others else ""
            names = f" ({', '.join(map(str, approved))})" if approved else ""
            word = "approval" if len(approved) == 1 else "approvals"
            yield f"{len(approved) or 'no'} {word}{others}{names}, and {wanted.approvals} wanted"
            yield from self._not_counted("approval", count.reasons(self.approvals, approved), Decision.APPROVED)
        for name in wanted.sign_offs:
            given = [each for each in self.sign_offs if each.review.capacity == name]
            if count.different(given):
                continue
            told = [*self._not_counted("sign-off", count.reasons(given, ()), Decision.SIGNED_OFF, name)]
            yield f"no sign-off as {name!r}{' that counts' * bool(told)}"
            yield from told

    def _not_counted(
        self, what: str, reasons: Mapping[Spoken, str], decision: Decision, capacity: str = ""
    ) -> Iterator[str]:
        void = {
            each.spoken: each.why
            for each in self.void
            if (each.spoken.review.decision, each.spoken.review.capacity) == (decision, capacity)
        }
        aspect = f" as {capacity!r}" if capacity else ""
        for spoken, why in {**reasons, **void}.items():
            yield f"the {what}{aspect} of {spoken} does not count: {why}"


@dataclass(frozen=True, slots=True)
class _Count:
    """What counts of what stands, for who wants something."""

    wanted: Wanted
    author: Author

    def against(self, spoken: Spoken) -> str:
        """Return why it does not count; empty: it does."""
        if self.wanted.by_others and (whose := self.author.said(spoken)):
            return whose
        return "a development key vouches for nobody" if self.wanted.own_keys and spoken.said.development else ""

    def different(self, spoken: Iterable[Spoken]) -> list[Spoken]:
        """Return what counts; of keys that have one label, such as somebody's old and new one, the last."""
        counted = [each for each in spoken if not self.against(each)]
        return list({each.said.label or each.said.key_id: each for each in counted}.values())

    def reasons(self, spoken: Iterable[Spoken], counted: Iterable[Spoken]) -> dict[Spoken, str]:
        """Return why each of the others does not count."""
        kept = tuple(counted)
        again = "a key of the same label is counted already"
        return {each: self.against(each) or again for each in spoken if each not in kept}


@dataclass(slots=True)
class _Book:
    """Who said what last, by key; and what does not count."""

    decided: dict[str, Spoken] = field(default_factory=dict)
    signed: dict[tuple[str, str], Spoken] = field(default_factory=dict)
    void: dict[tuple[str, str], Void] = field(default_factory=dict)
    later: dict[Spoken, str] = field(default_factory=dict)

    def enter(self, key_id: str, spoken: Spoken) -> None:
        review = spoken.review
        if review.decision in _GIVEN:
            self.void.pop((key_id, review.capacity), None)
        if review.decision is Decision.SIGNED_OFF:
            self._overtake(self.signed.get((key_id, review.capacity)), spoken)
            self.signed[key_id, review.capacity] = spoken
            return
        before = self.decided.get(key_id)
        self._overtake(before, spoken)
        self.decided[key_id] = spoken
        if review.decision is Decision.APPROVED:
            return
        done = "took it back" if review.decision is Decision.WITHDRAWN else "rejected it"
        why = f"the same key {done} on {review.at:%Y-%m-%d %H:%M} UTC"
        if before is not None and before.review.decision is Decision.APPROVED:
            self.void[key_id, ""] = Void(before, why)
        for pair in [pair for pair in self.signed if pair[0] == key_id]:  # nor does it sign anything off any more
            self._overtake(self.signed[pair], spoken)
            self.void[pair] = Void(self.signed.pop(pair), why)

    def _overtake(self, before: Spoken | None, spoken: Spoken) -> None:
        if before is not None and before.review.decision is not Decision.WITHDRAWN:
            taken_back = spoken.review.decision is Decision.WITHDRAWN
            self.later[before] = "taken back later" if taken_back else "replaced later"

    def pass_over(self, spoken: Spoken) -> None:
        """Note what does not count; what was altered is told by its own check."""
        review = spoken.review
        if spoken.said.check.means is Conclusion.VERIFIED and review.decision in _GIVEN:
            self.void[f"by {review.by}", review.capacity] = Void(spoken, spoken.said.why)


_GIVEN = (Decision.APPROVED, Decision.SIGNED_OFF)


def standing(said: Iterable[Spoken]) -> Standing:
    """Return what stands: of each key, what it said last; a rejection stands until the same key takes it back.

    Args:
        said: all that was said, in the order of the log.
    """
    book = _read(said)
    decided = book.decided.values()
    return Standing(
        approvals=tuple(each for each in decided if each.review.decision is Decision.APPROVED),
        rejections=tuple(each for each in decided if each.review.decision is Decision.REJECTED),
        sign_offs=tuple(book.signed.values()),
        void=tuple(book.void.values()),
    )


def later(said: Iterable[Spoken]) -> Mapping[Spoken, str]:
    """Return what the same key took back, or replaced by what it said later, and which of the two; in words.

    Args:
        said: all that was said, in the order of the log.
    """
    return _read(said).later


def _read(said: Iterable[Spoken]) -> _Book:
    book = _Book()
    for spoken in said:
        if spoken.said.key_id is None:
            book.pass_over(spoken)
        else:
            book.enter(spoken.said.key_id, spoken)
    return book
