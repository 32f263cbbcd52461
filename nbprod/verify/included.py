"""Whether events are in the log, as a checkpoint has it (step 4)."""

from __future__ import annotations

from collections.abc import Sequence

from nbprod.attest.checkpoint import Checkpoint
from nbprod.bundle.views import BundleLog
from nbprod.errors import IntegrityError
from nbprod.ledger.events import Event, RunEvent, StepEvent, to_json
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.log import EventLog, Leaf
from nbprod.merkle import check_inclusion, inclusion_proof, leaf_hash
from nbprod.verify.outcome import Check, Conclusion

__all__ = ["STEP", "check_included", "fault_of"]

STEP = 4
_NAME = "inclusion"


def check_included(log: EventLog, events: Sequence[StoredEvent], newest: Checkpoint | None) -> tuple[Check, ...]:
    """Prove each event's place in the tree of the newest checkpoint.

    Args:
        log: the ledger's, or a bundle's, which has proofs and no tree.
        events: of one run.
        newest: the checkpoint; None: there is none.
    """
    faults: list[str] = []
    waiting = covered = 0
    for stored in events:
        leaf = log.leaf_of(stored.seq)
        if leaf is None or newest is None or leaf.index >= newest.size or not _has_proofs(log, newest):
            waiting += 1
            faults += [] if leaf is None else _wrong(leaf, stored.event)
            continue
        covered += 1
        faults += _wrong(leaf, stored.event) or _unproven(log, leaf, newest)
    if faults:
        return tuple(Check.failed(STEP, _NAME, fault, Conclusion.ALTERED) for fault in faults)
    made = []
    if covered and newest is not None:
        told = f"{covered} of {len(events)} events are in the log, by the checkpoint of {newest.size} events"
        made.append(Check.passed(STEP, _NAME, told))
    if waiting:
        told = f"{waiting} of {len(events)} events are not yet covered by a checkpoint: `nbprod checkpoint` makes one"
        made.append(Check.later(STEP, _NAME, told))
    return tuple(made)


def fault_of(leaf: Leaf, event: Event) -> str | None:
    """Return in what an event as it stands in the ledger differs from its place in the log; None if it does not."""
    if leaf.body is None:
        return f"the event at place {leaf.index} is not there any more"
    if leaf_hash(leaf.body) != leaf.hash:
        return f"the event at place {leaf.index} is not what it was when it got its place"
    about = {
        "run_id": str(event.run_id) if isinstance(event, RunEvent) else None,
        "step": event.step if isinstance(event, StepEvent) else None,
        "kind": type(event).__name__,
        "at": to_json(event)["at"],
    }
    if leaf.about != about:
        return f"what stands beside the event at place {leaf.index} does not fit it"
    return None


def _has_proofs(log: EventLog, newest: Checkpoint) -> bool:
    """Say whether proofs for that tree can be had: a bundle has those for its own checkpoint only."""
    return not isinstance(log, BundleLog) or log.size() == newest.size


def _wrong(leaf: Leaf, event: Event) -> list[str]:
    fault = fault_of(leaf, event)
    return [] if fault is None else [fault]


def _unproven(log: EventLog, leaf: Leaf, newest: Checkpoint) -> list[str]:
    try:
        if isinstance(log, BundleLog):
            proof = log.proof_of(leaf, newest.size)
        else:
            proof = inclusion_proof(leaf.index, newest.size, log.nodes)
        check_inclusion(leaf_hash(leaf.body or b""), leaf.index, newest.size, proof, newest.root)
    except IntegrityError as error:
        return [f"the event at place {leaf.index} is not what the checkpoint covers: {error}"]
    return []
