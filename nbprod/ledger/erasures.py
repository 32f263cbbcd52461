"""What of a run was erased, as the ledger tells."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.digest import Digest
from nbprod.errors import Erased
from nbprod.ledger.events import BytesErased
from nbprod.ledger.ledger import Ledger
from nbprod.record.ids import RunId
from nbprod.record.tombstone import ErasedObject

__all__ = ["Erasure", "erasure_of", "erasures"]


@dataclass(frozen=True, slots=True)
class Erasure:
    """One object of a run that was erased, and the event that says so."""

    event: BytesErased
    object: ErasedObject

    def __str__(self) -> str:
        """Return it in one line of words."""
        when = f"{self.event.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.object.name} was erased on {when} by {self.event.by}, because: {self.event.why}"

    def error(self) -> Erased:
        """Make the error for who wants to read it."""
        event, run_id = self.event, self.event.run_id
        return Erased(
            f"the {self.object.name} of run {run_id} was erased on {event.at:%Y-%m-%d %H:%M:%S} UTC by {event.by}, "
            f"because: {event.why}",
            by=event.by,
            why=event.why,
            digest=str(self.object.digest),
            hint=f"Its digest and size stay in the record: `nbprod show {run_id.short}`. "
            "A new run of the step makes bytes of its own.",
        )


def erasures(ledger: Ledger, run_id: RunId) -> tuple[BytesErased, ...]:
    """Return the events about bytes of a run that were erased; none for most runs."""
    return tuple(each.event for each in ledger.events(run_id) if isinstance(each.event, BytesErased))


def erasure_of(ledger: Ledger, run_id: RunId, digest: Digest) -> Erasure | None:
    """Return what is told of an object's erasure from a run; None if it was not erased, or was lost before."""
    for event in erasures(ledger, run_id):
        for each in event.objects:
            if each.digest == digest and each.there:
                return Erasure(event, each)
    return None
