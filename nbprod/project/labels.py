"""Names, tags and notes, which people set and change at any time: events beside the record, never part of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nbprod.ledger import Ledger, RunRow
from nbprod.ledger.events import RunNamed, RunNoted, RunTagged, RunUntagged
from nbprod.record.ids import RunId

__all__ = ["name_run", "note_run", "tag_run", "untag_run"]


def name_run(ledger: Ledger, run_id: RunId, name: str) -> RunRow:
    """Name a run; an empty name takes the name away. Return the run as it is now."""
    ledger.append(RunNamed(at=datetime.now(UTC), run_id=run_id, name=name))
    return ledger.run(run_id)


def note_run(ledger: Ledger, run_id: RunId, note: str) -> RunRow:
    """Write a run's note in place of the one before; an empty one takes it away. Return the run as it is now."""
    ledger.append(RunNoted(at=datetime.now(UTC), run_id=run_id, note=note))
    return ledger.run(run_id)


def tag_run(ledger: Ledger, run_id: RunId, tags: Sequence[str]) -> RunRow:
    """Put tags on a run; those that it has are left alone. Return the run as it is now."""
    there = ledger.run(run_id).tags
    for tag in dict.fromkeys(tags):
        if tag not in there:
            ledger.append(RunTagged(at=datetime.now(UTC), run_id=run_id, tag=tag))
    return ledger.run(run_id)


def untag_run(ledger: Ledger, run_id: RunId, tags: Sequence[str]) -> RunRow:
    """Take tags off a run; those that it has not are left alone. Return the run as it is now."""
    there = ledger.run(run_id).tags
    for tag in dict.fromkeys(tags):
        if tag in there:
            ledger.append(RunUntagged(at=datetime.now(UTC), run_id=run_id, tag=tag))
    return ledger.run(run_id)
