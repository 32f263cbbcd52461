"""Whether the index is the sum of the events, and what bytes the events name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace

from nbprod.digest import Digest
from nbprod.errors import NbprodError
from nbprod.ledger.events import AliasMoved, RunEvent, RunFinished, StepPublished
from nbprod.ledger.index import fold
from nbprod.ledger.ledger import Ledger, StoredEvent
from nbprod.ledger.query import RunQuery, RunRow
from nbprod.record.ids import RunId

__all__ = ["Audit", "audit"]


@dataclass(slots=True)
class Audit:
    """What was found.

    Args:
        events: how many were read.
        runs: how many runs they are about.
        faults: where index and events differ, for people.
        named: the bytes that events name, and who named them first.
    """

    events: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)
    named: dict[Digest, str] = field(default_factory=dict)


def audit(ledger: Ledger) -> Audit:
    """Make the index anew, in memory, and compare it with the one that is kept.

    Runs that change meanwhile would be seen as differing: what differs is compared once more, by its own events.
    """
    found = Audit()
    rows: dict[RunId, RunRow] = {}
    versions: dict[tuple[str, int], Digest] = {}
    aliases: dict[tuple[str, str], int] = {}
    for stored in ledger.events():
        found.events += 1
        event = stored.event
        if isinstance(event, RunEvent):
            _fold(rows, stored, event, found)
        if isinstance(event, RunFinished):
            for digest in filter(None, (event.record, event.notebook)):
                found.named.setdefault(digest, f"run {event.run_id}")
        elif isinstance(event, StepPublished):
            versions[event.step, event.number] = event.manifest
            found.named.setdefault(event.manifest, f"{event.step}@{event.number}")
        elif isinstance(event, AliasMoved):
            if event.number is None:
                aliases.pop((event.step, event.alias), None)
            else:
                aliases[event.step, event.alias] = event.number
    found.runs = len(rows)
    found.faults += _differences(ledger, rows)
    published = ledger.published()
    if {(each.step, each.version): each.manifest for each in published} != versions:
        found.faults.append("the published versions are not those that the events tell of")
    if {(each.step, alias): each.version for each in published for alias in each.aliases} != aliases:
        found.faults.append("the aliases are not where the events put them")
    return found


def _fold(rows: dict[RunId, RunRow], stored: StoredEvent, event: RunEvent, found: Audit) -> None:
    try:
        rows[event.run_id] = fold(rows.get(event.run_id), event)
    except NbprodError as error:
        found.faults.append(f"event {stored.seq} does not follow from those before it: {error}")


def _differences(ledger: Ledger, rows: dict[RunId, RunRow]) -> Iterator[str]:
    seen: set[RunId] = set()
    for row in ledger.runs(RunQuery()):
        seen.add(row.run_id)
        if _differ(row, rows.get(row.run_id)):
            yield from _again(ledger, row.run_id)
    for run_id in rows.keys() - seen:
        yield from _again(ledger, run_id)


def _again(ledger: Ledger, run_id: RunId) -> Iterator[str]:
    """Compare one run once more: it may have changed since."""
    made: RunRow | None = None
    for stored in ledger.events(run_id):
        if isinstance(stored.event, RunEvent):
            made = fold(made, stored.event)
    kept = next((row for row in _kept(ledger, run_id)), None)
    if kept is None or made is None:
        yield f"run {run_id} is in the {'events' if kept is None else 'index'} only"
    elif names := _differ(kept, made):
        yield f"run {run_id} differs from its events in: {', '.join(names)}"


def _kept(ledger: Ledger, run_id: RunId) -> Iterable[RunRow]:
    try:
        return (ledger.run(run_id),)
    except NbprodError:
        return ()


def _differ(kept: RunRow, made: RunRow | None) -> list[str]:
    if made is None:
        return ["all"]
    made = replace(made, lease_until=kept.lease_until)
    names = [each.name for each in fields(RunRow)]
    return [name for name in names if _plain(getattr(kept, name)) != _plain(getattr(made, name))]


def _plain(value: object) -> object:
    """PostgreSQL's index has U+FFFD for NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value
