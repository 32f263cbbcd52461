"""Reading all that a SQL ledger has of many runs at once: three queries instead of a dozen for each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from nbprod.errors import CallerError, IntegrityError, UnsupportedVersion
from nbprod.ledger.events import from_json
from nbprod.ledger.ledger import Dossier, StoredEvent
from nbprod.ledger.log import Leaf
from nbprod.ledger.query import RunRow
from nbprod.ledger.rows import from_columns
from nbprod.ledger.sql_log import leaf_of_row
from nbprod.ledger.tables import events, log_leaves, run_tags, runs
from nbprod.ledger.values import read_json
from nbprod.record.ids import RunId

__all__ = ["read_dossiers"]

T = TypeVar("T")


def read_dossiers(connection: Connection, run_ids: Sequence[RunId]) -> list[Dossier]:
    """Read what there is of runs, in a transaction that sees one moment.

    Args:
        connection: a transaction.
        run_ids: which; a few hundred at most.
    """
    names = [each.text for each in run_ids]
    beside = (events.c.body, events.c.run_id, events.c.step, events.c.kind, events.c.at)
    joined = events.outerjoin(log_leaves, events.c.seq == log_leaves.c.seq)
    query = select(events.c.seq, log_leaves.c.idx, log_leaves.c.hash, *beside).select_from(joined)
    told: dict[str, list[Any]] = {name: [] for name in names}
    for event in connection.execute(query.where(events.c.run_id.in_(names)).order_by(events.c.seq)):
        _of(told, event.run_id).append(event)
    tags: dict[str, list[str]] = {name: [] for name in names}
    for name, tag in connection.execute(select(run_tags).where(run_tags.c.run_id.in_(names))):
        _of(tags, name).append(tag)
    found = connection.execute(select(runs).where(runs.c.run_id.in_(names))).mappings().all()
    rows = {columns["run_id"]: _row(columns, _of(tags, columns["run_id"])) for columns in found}
    return [_dossier(each, told[each.text], rows.get(each.text)) for each in run_ids]


def _of(of_runs: Mapping[str, list[T]], name: str) -> list[T]:
    """Return what is gathered for a run.

    Raises:
        IntegrityError: it is none of those that were asked for: the database's index says otherwise than its rows.
    """
    if name not in of_runs:
        raise IntegrityError(
            "the ledger's database is damaged: its index names another run than the row that it leads to",
            found=repr(name)[:100],
            hint="Keep a copy of it before anything else; `PRAGMA integrity_check` tells what is damaged",
        )
    return of_runs[name]


def _row(columns: Mapping[Any, Any], tags: Iterable[str]) -> RunRow | None:
    try:
        return from_columns(columns, tags)
    except (CallerError, ValueError, TypeError):
        return None


def _dossier(run_id: RunId, told: Sequence[Any], row: RunRow | None) -> Dossier:
    stored: list[StoredEvent] = []
    leaves: dict[int, Leaf] = {}
    fault = None
    for event in told:
        try:
            stored.append(StoredEvent(event.seq, from_json(read_json(event.body))))
        except (IntegrityError, UnsupportedVersion, ValueError, TypeError) as error:
            fault = str(error)
            break
        if event.idx is not None:
            leaves[event.seq] = leaf_of_row(event)
    return Dossier(run_id=run_id, events=tuple(stored), leaves=leaves, row=row, fault=fault)
