"""Events of another ledger, taken over with their numbers; the index follows from them, many runs at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.sql.elements import ColumnElement

from nbprod.digest import Json, canonical
from nbprod.errors import IntegrityError
from nbprod.ledger.bulk import insert_rows
from nbprod.ledger.events import RunCancelRequested, RunEvent, RunFinished, RunStarted, StepEvent, to_json
from nbprod.ledger.index import fold
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.moment import moment_text
from nbprod.ledger.query import RunRow
from nbprod.ledger.rows import from_columns, to_columns, value_columns
from nbprod.ledger.step_index import index_step
from nbprod.ledger.tables import events, run_tags, run_uses, run_values, runs
from nbprod.ledger.use_index import use_columns
from nbprod.record.ids import RunId

__all__ = ["restored"]


@dataclass(slots=True)
class _Changes:
    """What a batch of events makes of the index."""

    known: dict[RunId, RunRow] = field(default_factory=dict)
    rows: dict[RunId, RunRow] = field(default_factory=dict)
    leases: dict[RunId, float] = field(default_factory=dict)
    cancelled: dict[RunId, datetime] = field(default_factory=dict)
    values: list[dict[str, Any]] = field(default_factory=list)
    uses: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: RunEvent) -> None:
        """Let an event change a run's row."""
        run_id = event.run_id
        self.rows[run_id] = fold(self.rows.get(run_id) or self.known.get(run_id), event)
        if isinstance(event, RunStarted):
            self.leases[run_id] = event.lease_seconds
            self._keep(run_id, "parameter", event.parameters)
        elif isinstance(event, RunFinished):
            self._keep(run_id, "scrap", event.scraps)
            self.uses += use_columns(run_id, event.uses)
        elif isinstance(event, RunCancelRequested):
            self.cancelled.setdefault(run_id, event.at)

    def _keep(self, run_id: RunId, kind: str, values: Any) -> None:
        self.values += [value_columns(run_id, kind, name, value) for name, value in values.items()]


def restored(
    connection: Connection, stored: Sequence[StoredEvent], from_now: Callable[[float], ColumnElement[str]]
) -> int:
    """Take over what is not here yet; a run that is still open gets a lease from now on.

    Raises:
        IntegrityError: this ledger holds other events under these numbers.
    """
    bodies = {each.seq: canonical(to_json(each.event)).decode() for each in stored}
    new = _new(connection, stored, bodies)
    if not new:
        return 0
    changes = _Changes(known=_known(connection, {e.event.run_id for e in new if isinstance(e.event, RunEvent)}))
    if connection.dialect.name == "postgresql":  # ahead of the events, so that no number is drawn twice
        connection.execute(text("SELECT setval('events_seq_seq', :seq)"), {"seq": new[-1].seq})
    insert_rows(connection, events, [_columns(each, bodies[each.seq]) for each in new])
    for each in new:
        if isinstance(each.event, RunEvent):
            changes.add(each.event)
        elif isinstance(each.event, StepEvent):
            index_step(connection, each.event)
    _write(connection, changes, from_now)
    return len(new)


def _new(connection: Connection, stored: Sequence[StoredEvent], bodies: dict[int, str]) -> list[StoredEvent]:
    if not stored:
        return []
    first, last = stored[0].seq, stored[-1].seq
    here = {row.seq: row.body for row in connection.execute(select(events).where(events.c.seq.between(first, last)))}
    latest = connection.execute(select(func.max(events.c.seq))).scalar() or 0
    for seq in sorted({*here, *(seq for seq in bodies if seq <= latest)}):
        if here.get(seq) != bodies.get(seq):
            raise IntegrityError(
                "the ledger holds other events than those to be imported",
                expected="an empty ledger, or one that holds the beginning of the same events",
                found=f"a difference at number {seq}",
                hint="Import into a new ledger",
            )
    return [each for each in stored if each.seq not in here]


def _columns(each: StoredEvent, body: str) -> dict[str, Any]:
    event = each.event
    return {
        "seq": each.seq,
        "run_id": str(event.run_id) if isinstance(event, RunEvent) else None,
        "step": event.step if isinstance(event, StepEvent) else None,
        "kind": type(event).__name__,
        "at": moment_text(event.at),
        "body": body,
    }


def _known(connection: Connection, ids: set[RunId]) -> dict[RunId, RunRow]:
    texts = [str(run_id) for run_id in ids]
    tags: dict[str, list[str]] = {}
    for run_id, tag in connection.execute(select(run_tags).where(run_tags.c.run_id.in_(texts))):
        tags.setdefault(run_id, []).append(tag)
    found = connection.execute(select(runs).where(runs.c.run_id.in_(texts)).with_for_update()).mappings()
    return {RunId(row["run_id"]): from_columns(row, tags.get(row["run_id"], ())) for row in found}


def _write(connection: Connection, changes: _Changes, from_now: Callable[[float], ColumnElement[str]]) -> None:
    # What ended first: of the shared runs of one request, only one may be open at any moment.
    for run_id, row in changes.rows.items():
        if run_id in changes.known:
            columns = _changed(changes.known[run_id], row)
            if columns:
                connection.execute(update(runs).where(runs.c.run_id == str(run_id)).values(**columns))
            connection.execute(delete(run_tags).where(run_tags.c.run_id == str(run_id)))
    fresh = [(run_id, row) for run_id, row in changes.rows.items() if run_id not in changes.known]
    ended = [to_columns(row) | {"lease_until": None} for _, row in fresh if row.status is not None]
    insert_rows(connection, runs, ended)
    for run_id, row in fresh:
        if row.status is None:
            connection.execute(insert(runs).values(**to_columns(row), lease_until=from_now(changes.leases[run_id])))
    insert_rows(connection, run_values, changes.values)
    insert_rows(connection, run_uses, changes.uses)
    tags = [{"run_id": str(run_id), "tag": tag} for run_id, row in changes.rows.items() for tag in row.tags]
    insert_rows(connection, run_tags, tags)
    for run_id, at in changes.cancelled.items():
        first = update(runs).where(runs.c.run_id == str(run_id), runs.c.cancel_requested.is_(None))
        connection.execute(first.values(cancel_requested=moment_text(at)))


def _changed(before: RunRow, after: RunRow) -> dict[str, Json]:
    old = to_columns(before)
    changed = {key: value for key, value in to_columns(after).items() if old[key] != value}
    if before.status is None and after.status is not None:
        changed["lease_until"] = None
    return changed
