"""Whether the index is the sum of the events, column by column, and what bytes the events name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from nbprod.digest import Digest
from nbprod.errors import NbprodError
from nbprod.ledger.events import RunEvent
from nbprod.ledger.index import fold
from nbprod.ledger.ledger import Ledger
from nbprod.ledger.named import names_of
from nbprod.ledger.query import RunRow
from nbprod.record.ids import RunId

if TYPE_CHECKING:
    from nbprod.ledger.sql import SqlLedger

__all__ = ["Audit", "audit"]

_Name = Callable[[Digest, str], None]


@dataclass(slots=True)
class Audit:
    """What was found.

    Args:
        events: how many were read.
        runs: how many runs they are about.
        faults: where index and events differ, for people.
        objects: how many objects of the store were looked at.
        erased: how many of them are not there because they were erased, as their tombstones say.
    """

    events: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)
    objects: int = 0
    erased: int = 0


def audit(
    ledger: Ledger, name: _Name = lambda _digest, _by: None, looked: Callable[[int], None] = lambda _: None
) -> Audit:
    """Make the index anew and compare every column of it with what is kept.

    In flat memory: some hundred runs at a time. Each such stretch, events and index, is read as of one moment, so that
    runs which go on are no faults. When a lease ends follows from no event, only whether there is one.

    Args:
        ledger: which.
        name: hears of the objects that events name, and who named them; of one object perhaps several times.
        looked: hears how many runs were compared.
    """
    from nbprod.ledger.sql import SqlLedger  # noqa: PLC0415  SQLAlchemy takes 0.2 s to import

    found = Audit()
    if isinstance(ledger, SqlLedger):
        _compare(ledger, found, name, looked)
    else:
        _replay(ledger, found, name)
    return found


def _compare(ledger: SqlLedger, found: Audit, name: _Name, looked: Callable[[int], None]) -> None:
    from nbprod.ledger.stretch import notes, steps, stretch  # noqa: PLC0415

    after: str | None = ""
    while after is not None:
        part = ledger.reading(partial(stretch, after=after))
        found.events += part.events
        found.runs += part.runs
        found.faults += part.faults
        for digest, by in part.named:
            name(digest, by)
        looked(found.runs)
        after = part.last
    found.faults += ledger.check_search()
    found.faults += ledger.reading(notes)
    part = ledger.reading(steps)
    found.events += part.events
    found.faults += part.faults
    for digest, by in part.named:
        name(digest, by)


def _replay(ledger: Ledger, found: Audit, name: _Name) -> None:
    """Follow the events of a ledger that keeps no columns."""
    rows: dict[RunId, RunRow] = {}
    for stored in ledger.events():
        found.events += 1
        event = stored.event
        for digest, by in names_of(event):
            name(digest, by)
        if isinstance(event, RunEvent):
            try:
                rows[event.run_id] = fold(rows.get(event.run_id), event)
            except NbprodError as error:
                found.faults.append(f"event {stored.seq} does not follow from those before it: {error}")
    found.runs = len(rows)
