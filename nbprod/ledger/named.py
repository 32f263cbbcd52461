"""What objects an event names."""

from __future__ import annotations

from collections.abc import Iterator

from nbprod.digest import Digest
from nbprod.ledger.events import (
    SECOND_ENDING,
    AliasMoved,
    BytesErased,
    Event,
    RunFinished,
    RunHeard,
    RunReproduced,
    RunReviewed,
    StepPublished,
    StepReviewed,
)
from nbprod.record.ids import RunId

__all__ = ["names_of", "records_of"]


def records_of(event: Event) -> Iterator[tuple[RunId, Digest]]:
    """Yield the records that an event names, that of a second ending among them."""
    if isinstance(event, RunFinished):
        yield event.run_id, event.record
    elif isinstance(event, RunHeard) and event.what == SECOND_ENDING and isinstance(event.data, dict):
        yield event.run_id, Digest.parse(str(event.data["record"]))


def names_of(event: Event) -> list[tuple[Digest, str]]:
    """Return the objects that an event names, and who names them."""
    named = [(digest, f"run {run_id}") for run_id, digest in records_of(event)]
    if isinstance(event, RunFinished):
        kept = (event.notebook, event.attestation)
        named += [(digest, f"run {event.run_id}") for digest in kept if digest is not None]
    elif isinstance(event, BytesErased):
        stones = (event.statement, event.attestation)
        named += [(digest, f"the tombstone of run {event.run_id}") for digest in stones if digest is not None]
    elif isinstance(event, RunReproduced):
        kept = (event.statement, event.attestation)
        named += [(digest, f"the reproduction of run {event.first}") for digest in kept if digest is not None]
    elif isinstance(event, RunReviewed | StepReviewed):
        named.append((event.attestation, f"the {event.review.name} of {event.review.of}"))
    elif isinstance(event, AliasMoved) and event.attestation is not None:
        named.append((event.attestation, f"the move of {event.step}@{event.alias}"))
    elif isinstance(event, StepPublished):
        digests = (event.manifest, event.statement, event.attestation)
        named += [(digest, f"{event.step}@{event.number}") for digest in digests if digest is not None]
    return named
