"""Some hundred runs, or all published steps, as events and index have them: compared column by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from nbprod.digest import Digest
from nbprod.errors import NbprodError
from nbprod.ledger.events import (
    AliasMoved,
    Event,
    RunCancelRequested,
    RunEvent,
    RunFinished,
    RunStarted,
    StepEvent,
    StepPublished,
    from_json,
)
from nbprod.ledger.index import fold
from nbprod.ledger.moment import moment_text
from nbprod.ledger.named import names_of
from nbprod.ledger.query import RunRow
from nbprod.ledger.rows import to_columns, value_columns
from nbprod.ledger.tables import events, run_tags, run_uses, run_values, runs, step_aliases, step_versions
from nbprod.ledger.use_index import use_columns
from nbprod.ledger.values import read_json

__all__ = ["Part", "steps", "stretch"]

_RUNS = 300
"""Runs compared at a time."""


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


@dataclass(slots=True)
class _Run:
    """A run as its events make it."""

    row: RunRow | None = None
    cancelled: datetime | None = None
    values: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    uses: set[tuple[str | None, ...]] = field(default_factory=set)

    def add(self, event: RunEvent) -> None:
        self.row = fold(self.row, event)
        if isinstance(event, RunStarted):
            self._keep(event, "parameter", event.parameters)
        elif isinstance(event, RunFinished):
            self._keep(event, "scrap", event.scraps)
            self.uses = {_use(row) for row in use_columns(event.run_id, event.uses)}
        elif isinstance(event, RunCancelRequested) and self.cancelled is None:
            self.cancelled = event.at

    def _keep(self, event: RunEvent, kind: str, values: Mapping[str, Any]) -> None:
        self.values |= {(kind, name): value_columns(event.run_id, kind, name, value) for name, value in values.items()}


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
    kept = {row["run_id"]: row for row in _between(connection, runs, after, part.last)}
    tags: dict[str, set[str]] = {}
    for row in _between(connection, run_tags, after, part.last):
        tags.setdefault(row["run_id"], set()).add(row["tag"])
    values: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for row in _between(connection, run_values, after, part.last):
        values.setdefault(row["run_id"], {})[row["kind"], row["name"]] = row
    uses: dict[str, set[tuple[str | None, ...]]] = {}
    for row in _between(connection, run_uses, after, part.last):
        uses.setdefault(row["run_id"], set()).add(_use(row))
    for run_id in sorted({*made, *kept, *tags, *values, *uses}):
        run = made.get(run_id, _Run())
        if run.row is None or run_id not in kept:
            where = "index" if run.row is None else "events"
            part.faults.append(f"run {run_id} is in the {where} only")
            continue
        names = [
            *_columns(kept[run_id], run),
            *(f"run_tags ({tag})" for tag in sorted(_plain({*run.row.tags}) ^ tags.get(run_id, set()))),
            *_values(values.get(run_id, {}), run.values),
            *(["run_uses"] if run.uses != uses.get(run_id, set()) else []),
        ]
        if names:
            part.faults.append(f"run {run_id} differs from its events in: {', '.join(names)}")
    return part


def _between(connection: Connection, table: Table, after: str, last: str | None) -> Iterator[Mapping[str, Any]]:
    query = select(table).where(table.c.run_id > after)
    yield from connection.execute(query if last is None else query.where(table.c.run_id <= last)).mappings()  # type: ignore[misc]


def _made(connection: Connection, part: Part, after: str) -> dict[str, _Run]:
    made: dict[str, _Run] = {}
    query = select(events).where(events.c.run_id > after).order_by(events.c.seq)
    for columns in connection.execute(query if part.last is None else query.where(events.c.run_id <= part.last)):
        event = _event(columns, part)
        if not isinstance(event, RunEvent):
            continue
        try:
            made.setdefault(columns.run_id, _Run()).add(event)
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
    if names := _differing(columns._mapping, told):  # noqa: SLF001  SQLAlchemy's name for it
        part.faults.append(f"event {columns.seq} differs from its columns in: {', '.join(names)}")
    part.named += names_of(event)
    return event


def _use(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(row[name] for name in ("role", "digest", "name", "of_run"))


def _columns(kept: Mapping[str, Any], run: _Run) -> list[str]:
    assert run.row is not None  # noqa: S101 - asked before
    told = to_columns(run.row)
    told["cancel_requested"] = None if run.cancelled is None else moment_text(run.cancelled)
    names = _differing(kept, told)
    if (kept["lease_until"] is None) != (run.row.status is not None):
        names.append("lease_until")
    return names


def _values(kept: Mapping[tuple[str, str], Mapping[str, Any]], made: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    told = {_plain(key): row for key, row in made.items()}
    for key in sorted({*kept, *told}):
        if key not in kept or key not in told:
            yield f"run_values ({' '.join(key)})"
        elif names := _differing(kept[key], told[key]):
            yield f"run_values ({' '.join(key)}: {', '.join(names)})"


def _differing(kept: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    return [name for name, value in told.items() if _plain(kept[name]) != _plain(value)]


def _plain(value: Any) -> Any:
    """PostgreSQL's index has U+FFFD for NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return type(value)(map(_plain, value)) if isinstance(value, tuple | set) else value


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


def _compared(kept: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[str]:
    told = {_plain(name): row for name, row in made.items()}
    for name in sorted({*kept, *told}):
        if name not in kept or name not in told:
            yield f"{name} is in the {'index' if name in kept else 'events'} only"
        elif names := _differing(kept[name], told[name]):
            yield f"{name} differs from its events in: {', '.join(names)}"
