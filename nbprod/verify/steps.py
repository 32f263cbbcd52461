"""Whether what is told of published steps is signed: publications, moves of aliases, reviews of versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nbprod.attest.keyfile import Role
from nbprod.digest import Digest, digest_bytes
from nbprod.errors import IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger import Ledger, StoredEvent
from nbprod.ledger.events import AliasMoved, StepPublished, StepReviewed
from nbprod.record.publication import VersionStatement
from nbprod.verify.outcome import Check
from nbprod.verify.reviews import Spoken, judge_reviews
from nbprod.verify.said import KEY, SIGNATURE, Court, Said, altered
from nbprod.verify.standing import Author, Standing, standing
from nbprod.verify.stored import lost

__all__ = ["Moved", "Version", "judge_step"]

_PUBLICATION, _MOVE = "publication", "alias move"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A published version, and what people said of it.

    Args:
        event: tells of its publication.
        publication: what came of the publication's signature.
        spoken: what was said of it, in the order of the log.
    """

    event: StepPublished
    publication: Said
    spoken: tuple[Spoken, ...] = ()

    @property
    def author(self) -> Author:
        """Who published it."""
        key_id = self.publication.key_id
        return Author(key_id=key_id, label=None if key_id is None else self.publication.label, user=self.event.by)

    @property
    def standing(self) -> Standing:
        """What of all that was said stands."""
        return standing(self.spoken)

    @property
    def checks(self) -> Iterator[Check]:
        """All checks about it."""
        yield self.publication.check
        yield from (each.said.check for each in self.spoken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A move of an alias, and what came of its signature."""

    event: AliasMoved
    check: Check


@dataclass(slots=True)
class _Step:
    """A step as its events make it."""

    versions: dict[int, Version] = field(default_factory=dict)
    moves: list[Moved] = field(default_factory=list)
    moved: set[Digest] = field(default_factory=set)


def judge_step(step: str, ledger: Ledger, court: Court) -> tuple[dict[int, Version], tuple[Moved, ...]]:
    """Judge all that is told of a step; return its versions by number, and the moves of its aliases in order.

    Args:
        step: its name.
        ledger: has its events.
        court: judges signatures.
    """
    events = tuple(ledger.step_events(step))
    made = _Step()
    for stored in events:
        if isinstance(stored.event, StepPublished):
            event = stored.event
            said = tuple(e for e in events if isinstance(e.event, StepReviewed) and e.event.number == event.number)
            made.versions[event.number] = Version(
                event=event,
                publication=_publication(stored, event, court),
                spoken=judge_reviews(said, event.manifest, court),
            )
        elif isinstance(stored.event, AliasMoved):
            made.moves.append(Moved(event=stored.event, check=_move(stored, stored.event, made, court)))
    return made.versions, tuple(made.moves)


def _publication(stored: StoredEvent, event: StepPublished, court: Court) -> Said:
    label = f"{event.step}@{event.number}"
    told = f"{event.by} published {label} on {event.at:%Y-%m-%d %H:%M} UTC"
    if event.attestation is None or event.statement is None:
        return Said(Check.beside(KEY, _PUBLICATION, f"{told}, which nobody signed"))
    try:
        stated = VersionStatement.from_bytes(court.store.get(event.statement))
    except NotFound:
        return Said(lost(SIGNATURE, _PUBLICATION, court.store, event.statement, f"what states {label}"))
    except (IntegrityError, UnsupportedVersion) as error:
        return altered(SIGNATURE, _PUBLICATION, f"{told}: {error}")
    found = (stated.step, stated.version, stated.manifest, stated.at, stated.by, stated.note)
    if found != (event.step, event.number, event.manifest, event.at, event.by, event.note):
        return altered(SIGNATURE, _PUBLICATION, f"{told}: its statement says something else than the ledger")
    return court.judge(
        _PUBLICATION, told, stored, attestation=event.attestation, statement=event.statement, roles=(Role.PROMOTER,)
    )


def _move(stored: StoredEvent, event: AliasMoved, made: _Step, court: Court) -> Check:
    where = "nowhere any more" if event.number is None else f"at version {event.number}"
    why = f", because: {event.why}" if event.why else ""
    told = f"{event.by} let {event.step}@{event.alias} point {where} on {event.at:%Y-%m-%d %H:%M} UTC{why}"
    if event.attestation is None:
        return Check.beside(KEY, _MOVE, f"{told}, which nobody signed")
    number = event.before if event.number is None else event.number
    version = made.versions.get(number or 0)
    if version is None:
        return altered(SIGNATURE, _MOVE, f"{told}: no such version was published before").check
    statement = digest_bytes(event.stated(version.event.manifest).to_bytes())
    again = statement in made.moved
    made.moved.add(statement)
    if again:
        return altered(SIGNATURE, _MOVE, f"{told}: it was said once, and stands here again").check
    said = court.judge(_MOVE, told, stored, attestation=event.attestation, statement=statement, roles=(Role.PROMOTER,))
    current = court.trust.current
    if said.key_id is not None and event.log and current is not None and event.log != current.log:
        return Check.passed_over(KEY, _MOVE, f"{told}, which does not count: it was said in another log")
    return said.check
