"""Whether events are in the log, as a checkpoint has it (step 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbprod.attest.checkpoint import Checkpoint
from nbprod.bundle.views import BundleLog
from nbprod.errors import IntegrityError
from nbprod.ledger.events import Event, RunEvent, StepEvent
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.log import EventLog, Leaf
from nbprod.ledger.moment import moment_text
from nbprod.merkle import HASH_SIZE, check_inclusion, inclusion_proof, leaf_hash
from nbprod.record.counted import counted
from nbprod.verify.outcome import Check, Conclusion

__all__ = ["ASK", "MAKE", "STEP", "Prove", "check_included", "fault_of", "newest_in", "proof_by", "proof_in"]

STEP = 4
_NAME = "inclusion"
MAKE = "`nbprod checkpoint` makes one"
ASK = "ask its owner to make one (`nbprod checkpoint`) and to export the run again"
"""What the reader of a bundle can do, who has no key of its log."""


Prove = Callable[[Leaf, Event], str | None]
"""Says why an event at a place that a checkpoint covers is not proven to be in its tree; None if it is."""


def check_included(
    events: Sequence[StoredEvent],
    leaf_of: Callable[[int], Leaf | None],
    newest: Checkpoint | None,
    prove: Prove,
    *,
    remedy: str = MAKE,
) -> tuple[Check, ...]:
    """Prove each event's place in the tree of the newest checkpoint.

    Args:
        events: of one run, or of one version of a step.
        leaf_of: returns an event's leaf by its number; None while it has no place.
        newest: the checkpoint; None: there is none (see `newest_in`).
        prove: looks for the proof.
        remedy: what to do about events that no checkpoint covers yet.
    """
    faults: list[str] = []
    waiting = covered = 0
    for stored in events:
        leaf = leaf_of(stored.seq)
        if leaf is None or newest is None or leaf.index >= newest.size:
            waiting += 1
            faults += [] if leaf is None else _told(fault_of(leaf, stored.event))
            continue
        covered += 1
        faults += _told(prove(leaf, stored.event))
    if faults:
        return tuple(Check.failed(STEP, _NAME, fault, Conclusion.ALTERED) for fault in faults)
    made = []
    if covered and newest is not None:
        are = "event is" if covered == len(events) == 1 else "events are"
        told = f"{covered} of {len(events)} {are} in the log, by the checkpoint of {counted(newest.size, 'event')}"
        made.append(Check.passed(STEP, _NAME, told))
    if waiting:
        are = "event is" if waiting == len(events) == 1 else "events are"
        told = f"{waiting} of {len(events)} {are} not yet covered by a checkpoint: {remedy}"
        made.append(Check.later(STEP, _NAME, told))
    return tuple(made)


def newest_in(log: EventLog, newest: Checkpoint | None) -> Checkpoint | None:
    """Return the newest checkpoint if the log has proofs for its tree: a bundle has those for its own one only."""
    return None if newest is not None and isinstance(log, BundleLog) and log.size() != newest.size else newest


def proof_in(log: EventLog, newest: Checkpoint | None) -> Prove:
    """Return what proves leaves by the hashes that the log keeps, or by the proofs that a bundle has instead."""

    def prove(leaf: Leaf, event: Event) -> str | None:
        if (fault := fault_of(leaf, event)) is not None:
            return fault
        assert newest is not None  # noqa: S101 - else nothing is covered
        try:
            if isinstance(log, BundleLog):
                proof = log.proof_of(leaf, newest.size)
            else:
                proof = inclusion_proof(leaf.index, newest.size, log.nodes)
            check_inclusion(leaf_hash(leaf.body or b""), leaf.index, newest.size, proof, newest.root)
        except IntegrityError as error:
            return f"the event at place {leaf.index} is not what the checkpoint covers: {error}"
        return None

    return prove


def proof_by(hashes: bytes | bytearray) -> Prove:
    """Return what proves leaves by hashes that make up the checkpoint's root, and of which each fits its event.

    Args:
        hashes: of all leaves from the first on, one behind the other; both was seen a moment ago.
    """

    def prove(leaf: Leaf, _: Event) -> str | None:
        begin = leaf.index * HASH_SIZE
        if hashes[begin : begin + HASH_SIZE] == leaf_hash(leaf.body or b""):
            return None
        return f"the event at place {leaf.index} is not what it was a moment ago, when the log was hashed"

    return prove


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
        "at": moment_text(event.at),
    }
    if leaf.about != about:
        return f"what stands beside the event at place {leaf.index} does not fit it"
    return None


def _told(fault: str | None) -> list[str]:
    return [] if fault is None else [fault]
