"""Reading all that a SQL ledger has of many runs at once: five queries instead of a dozen for each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from nbprod.errors import IntegrityError, NbprodError, UnsupportedVersion
from nbprod.ledger.events import RunEvent, from_json
from nbprod.ledger.indexed import Indexed, Made, read_index
from nbprod.ledger.ledger import Dossier, StoredEvent
from nbprod.ledger.log import Leaf
from nbprod.ledger.sql_log import leaf_of_row
from nbprod.ledger.tables import events, log_leaves
from nbprod.ledger.values import read_json
from nbprod.record.ids import RunId

__all__ = ["read_dossiers"]

T = TypeVar("T")

_NAMED = 10
"""Columns that are named one by one."""


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
    for event in connection.execute(query.where(events.c.run_id.in_(names)).order_by(events.c.seq)).all():
        _of(told, event.run_id).append(event)
    index = read_index(connection, lambda ids: ids.in_(names))
    for name in index:
        _of(told, name)
    return [_dossier(each, told[each.text], index.get(each.text) or Indexed()) for each in run_ids]


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


def _dossier(run_id: RunId, told: Sequence[Any], index: Indexed) -> Dossier:
    stored: list[StoredEvent] = []
    leaves: dict[int, Leaf] = {}
    fault = None
    for event in told:
        try:
            stored.append(StoredEvent(event.seq, from_json(read_json(event.body))))
        except (IntegrityError, UnsupportedVersion, ValueError) as error:
            fault = str(error)
            break
        if event.idx is not None:
            leaves[event.seq] = leaf_of_row(event)
    columns = index.columns
    return Dossier(
        run_id=run_id,
        events=tuple(stored),
        leaves=leaves,
        ended=columns is not None and columns["status"] is not None,
        differs=() if fault is not None else tuple(_differs(stored, index)),
        fault=fault,
    )


def _differs(stored: Sequence[StoredEvent], index: Indexed) -> Iterator[str]:
    made = Made()
    try:
        for each in stored:
            if not isinstance(each.event, RunEvent):
                yield f"event {each.seq} is none of a run"
                return
            made.add(each.event)
    except NbprodError as error:
        yield f"the events do not follow from each other: {error}"
        return
    if made.row is None or index.columns is None:
        if made.row is not None or index != Indexed():
            yield f"the run is in the {'index' if made.row is None else 'events'} only"
    elif names := index.differences(made):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"the index says something else than the events in: {', '.join(names[:_NAMED])}{more}"
