"""Some hundred runs, or all published steps, as events and index have them: compared column by column; and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, exists, literal_column, select

from nbprod.digest import Digest
from nbprod.errors import NbprodError
from nbprod.ledger.events import (
    AliasMoved,
    Event,
    RunEvent,
    RunFinished,
    RunStarted,
    StepEvent,
    StepPublished,
    from_json,
)
from nbprod.ledger.indexed import Indexed, Made, differing, plain, read_index
from nbprod.ledger.moment import moment_text
from nbprod.ledger.named import names_of
from nbprod.ledger.tables import events, log_notes, run_uses, runs, step_aliases, step_versions
from nbprod.ledger.values import read_json

__all__ = ["Part", "notes", "steps", "strays", "stretch"]

_RUNS = 300
"""Runs compared at a time."""
_STRAYS = 20
"""Runs of each kind that are named where they should not be."""


@dataclass(slots=True)
class Part:
    """What was found in a part of the ledger.

    Args:
        events: how many were read.
        runs: how many runs they are about.
        faults: where they and the index differ, for people.
        named: the objects that they name, and who names them.
        last: the last run of this part; None where there are no more.
    """

    events: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)
    named: list[tuple[Digest, str]] = field(default_factory=list)
    last: str | None = None


def stretch(connection: Connection, *, after: str) -> Part:
    """Compare the next runs, in the order of their ids, in a transaction that sees one moment.

    Args:
        connection: has begun the transaction.
        after: the last run that was compared; empty for none.
    """
    starts = select(events.c.run_id).where(events.c.run_id > after, events.c.kind == RunStarted.__name__)
    ids = connection.execute(starts.order_by(events.c.run_id).limit(_RUNS)).scalars().all()
    part = Part(last=ids[-1] if len(ids) == _RUNS else None)
    made = _made(connection, part, after)
    last = part.last
    index = read_index(connection, lambda ids: ids > after if last is None else and_(ids > after, ids <= last))
    for run_id in sorted({*made, *index}, key=str):  # damage may have made bytes of an id
        run, kept = made.get(run_id, Made()), index.get(run_id, Indexed())
        if run.row is None or kept.columns is None:
            part.faults.append(f"run {run_id} is in the {'index' if run.row is None else 'events'} only")
        elif names := kept.differences(run):
            part.faults.append(f"run {run_id} differs from its events in: {', '.join(names)}")
    return part


def _made(connection: Connection, part: Part, after: str) -> dict[str, Made]:
    made: dict[str, Made] = {}
    query = select(events).where(events.c.run_id > after).order_by(events.c.seq)
    for columns in connection.execute(query if part.last is None else query.where(events.c.run_id <= part.last)):
        event = _event(columns, part)
        if not isinstance(event, RunEvent):
            continue
        try:
            made.setdefault(columns.run_id, Made()).add(event)
        except NbprodError as error:
            part.faults.append(f"event {columns.seq} does not follow from those before it: {error}")
    part.runs = len(made)
    return made


def _event(columns: Any, part: Part) -> Event | None:
    """Read an event and compare it with the columns beside it."""
    part.events += 1
    try:
        event = from_json(read_json(columns.body))
    except (NbprodError, ValueError) as error:
        part.faults.append(f"event {columns.seq} cannot be read: {error}")
        return None
    told = {
        "run_id": str(event.run_id) if isinstance(event, RunEvent) else None,
        "step": event.step if isinstance(event, StepEvent) else None,
        "kind": type(event).__name__,
        "at": moment_text(event.at),
    }
    if names := differing(columns._mapping, told):  # noqa: SLF001  SQLAlchemy's name for it
        part.faults.append(f"event {columns.seq} differs from its columns in: {', '.join(names)}")
    part.named += names_of(event)
    return event


def steps(connection: Connection) -> Part:
    """Compare published versions and aliases, in a transaction that sees one moment."""
    part = Part()
    versions: dict[str, dict[str, Any]] = {}
    aliases: dict[str, dict[str, Any]] = {}
    for columns in connection.execute(select(events).where(events.c.run_id.is_(None)).order_by(events.c.seq)):
        event = _event(columns, part)
        if isinstance(event, StepPublished):
            versions[f"{event.step}@{event.number}"] = {
                "step": event.step,
                "version": event.number,
                "manifest": str(event.manifest),
                "published": moment_text(event.at),
                "published_by": event.by,
                "note": event.note,
            }
        elif isinstance(event, AliasMoved):
            aliases[f"{event.step}@{event.alias}"] = {"version": event.number}
    there = {f"{row['step']}@{row['version']}": row for row in connection.execute(select(step_versions)).mappings()}
    part.faults += _compared(there, versions)
    moved = {name: told for name, told in aliases.items() if told["version"] is not None}
    named = {f"{row['step']}@{row['alias']}": row for row in connection.execute(select(step_aliases)).mappings()}
    part.faults += _compared(named, moved)
    return part


def strays(connection: Connection) -> list[str]:
    """Say, for people, what the index tells beside the runs that events tell of, and of published steps otherwise.

    What it says of a run whose events are read is for whoever reads them (see `Ledger.dossiers`).
    """

    def without(kind: type[RunEvent]) -> Any:  # the name stands in the query itself: SQLite takes its index then
        of_kind = events.c.kind == literal_column(f"'{kind.__name__}'")
        return select(runs.c.run_id).where(~exists().where(events.c.run_id == runs.c.run_id, of_kind))

    beside = select(run_uses.c.run_id).distinct().where(~exists().where(runs.c.run_id == run_uses.c.run_id))
    told = (
        (without(RunStarted), "run {} is in the index only"),
        (without(RunFinished).where(runs.c.status.is_not(None)), "run {} has ended by the index, and no event says so"),
        (beside, "the index tells what run {} used, and of no such run"),
    )
    faults = [
        words.format(name)
        for query, words in told
        for name in connection.execute(query.order_by("run_id").limit(_STRAYS)).scalars()
    ]
    return [*faults, *steps(connection).faults]


def notes(connection: Connection) -> list[str]:
    """Return which of the log's notes are no text any more, for people; what they say is for whoever knows the keys."""
    kept = connection.execute(select(log_notes).order_by(log_notes.c.number))
    return [
        f"note {row.number} of the log ({row.kind}) is damaged: it is no text, but {type(row.body).__name__}"
        for row in kept
        if not isinstance(row.body, str)
    ]


def _compared(kept: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[str]:
    told = {plain(name): row for name, row in made.items()}
    for name in sorted({*kept, *told}):
        if name not in kept or name not in told:
            yield f"{name} is in the {'index' if name in kept else 'events'} only"
        elif names := differing(kept[name], told[name]):
            yield f"{name} differs from its events in: {', '.join(names)}"
