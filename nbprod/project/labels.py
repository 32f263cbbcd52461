"""Names, tags and notes, which people set and change at any time: events beside the record, never part of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nbprod.errors import CallerError
from nbprod.ledger import Ledger, RunRow
from nbprod.ledger.events import RunNamed, RunNoted, RunTagged, RunUntagged
from nbprod.record.ids import RunId

__all__ = ["name_run", "note_run", "run_name", "tag_run", "untag_run"]


_LATEST = "@latest"


def run_name(text: str) -> str:
    """Return a run's name without spaces around it.

    Raises:
        CallerError: it is empty, cannot be printed, or would be read as a reference such as `@latest`.
    """
    name = text.strip()
    if name and name.isprintable() and not name.startswith("@") and not name.endswith(_LATEST):
        return name
    raise CallerError(
        "a run cannot be called so",
        expected="a name of printable characters on one line, without @ in front or @latest at the end",
        found=ascii(text),
    )


def name_run(ledger: Ledger, run_id: RunId, name: str) -> RunRow:
    """Name a run; an empty name takes the name away. Return the run as it is now.

    Raises:
        CallerError: see `run_name`.
    """
    ledger.append(RunNamed(at=datetime.now(UTC), run_id=run_id, name=run_name(name) if name else ""))
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
