"""What objects an event names."""

from __future__ import annotations

from collections.abc import Iterator

from nbprod.digest import Digest
from nbprod.ledger.events import SECOND_ENDING, BytesErased, Event, RunFinished, RunHeard, RunReproduced, StepPublished
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
        named.append((event.statement, f"the tombstone of run {event.run_id}"))
    elif isinstance(event, RunReproduced):
        kept = (event.statement, event.attestation)
        named += [(digest, f"the reproduction of run {event.first}") for digest in kept if digest is not None]
    elif isinstance(event, StepPublished):
        digests = (event.manifest, event.statement)
        named += [(digest, f"{event.step}@{event.number}") for digest in digests if digest is not None]
    return named
