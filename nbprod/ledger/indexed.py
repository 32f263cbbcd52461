"""A run as its events make it, compared with what the index has of it, column by column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from nbprod.ledger.events import RunCancelRequested, RunEvent, RunFinished, RunStarted
from nbprod.ledger.index import fold
from nbprod.ledger.moment import moment_text
from nbprod.ledger.query import RunRow
from nbprod.ledger.rows import to_columns, value_columns
from nbprod.ledger.tables import run_tags, run_uses, run_values, runs
from nbprod.ledger.use_index import use_columns

__all__ = ["Indexed", "Made", "differing", "plain", "read_index"]

_VALUE = ("kind", "name", "num", "text")
_USE = ("role", "digest", "name", "of_run")

_Row = tuple[Any, ...]


@dataclass(slots=True)
class Made:
    """A run as its events make it.

    Args:
        row: its row; None before its start.
        cancelled: when it was first asked to end.
        values: its rows of `run_values`, without its id.
        uses: its rows of `run_uses`, without its id.
    """

    row: RunRow | None = None
    cancelled: datetime | None = None
    values: set[_Row] = field(default_factory=set)
    uses: set[_Row] = field(default_factory=set)

    def add(self, event: RunEvent) -> None:
        """Let the run be what it is after an event.

        Raises:
            AlreadyStarted, AlreadyFinished, NotFound, CallerError: it does not follow from those before it.
        """
        self.row = fold(self.row, event)
        if isinstance(event, RunStarted):
            self._keep(event, "parameter", event.parameters)
        elif isinstance(event, RunFinished):
            self._keep(event, "scrap", event.scraps)
            self.uses = {_only(row, _USE) for row in use_columns(event.run_id, event.uses)}
        elif isinstance(event, RunCancelRequested) and self.cancelled is None:
            self.cancelled = event.at

    def _keep(self, event: RunEvent, kind: str, values: Mapping[str, Any]) -> None:
        told = (value_columns(event.run_id, kind, name, value) for name, value in values.items())
        self.values.update(_only(row, _VALUE) for row in told)


@dataclass(slots=True)
class Indexed:
    """What the index has of a run.

    Args:
        columns: its row of `runs`; None: there is none.
        tags: its tags.
        values: its rows of `run_values`: kind, name, number, text.
        uses: its rows of `run_uses`: role, digest, name, run.
    """

    columns: Mapping[Any, Any] | None = None
    tags: set[str] = field(default_factory=set)
    values: set[_Row] = field(default_factory=set)
    uses: set[_Row] = field(default_factory=set)

    def differences(self, made: Made) -> list[str]:
        """Return the names of what differs from the events, with the table where it is not `runs`.

        Args:
            made: the run as they make it, which has a row; so has the index.
        """
        assert made.row is not None  # noqa: S101 - asked before
        assert self.columns is not None  # noqa: S101 - the same
        told = to_columns(made.row)
        told["cancel_requested"] = None if made.cancelled is None else moment_text(made.cancelled)
        names = differing(self.columns, told)
        if (self.columns["lease_until"] is None) != (made.row.status is not None):
            names.append("lease_until")
        if self.tags or made.row.tags:
            names += (f"run_tags ({tag})" for tag in sorted({*map(plain, made.row.tags)} ^ self.tags, key=str))
        if self.values != made.values:
            names += _values(self.values, made.values)
        if self.uses != made.uses:
            names.append("run_uses")
        return names


def read_index(connection: Connection, chosen: Callable[[Any], Any]) -> dict[str, Indexed]:
    """Return what the index has of runs, by their ids: a query for each of its tables.

    Args:
        connection: a transaction that sees one moment.
        chosen: makes the condition for the runs out of the column of their ids.
    """
    found: defaultdict[str, Indexed] = defaultdict(Indexed)
    for columns in connection.execute(select(runs).where(chosen(runs.c.run_id))).mappings().all():
        found[columns["run_id"]].columns = columns
    for name, tag in connection.execute(select(run_tags).where(chosen(run_tags.c.run_id))).all():
        found[name].tags.add(tag)
    for row in connection.execute(select(run_values).where(chosen(run_values.c.run_id))).all():
        found[row[0]].values.add(tuple(row)[1:])
    for row in connection.execute(select(run_uses).where(chosen(run_uses.c.run_id))).all():
        found[row[0]].uses.add(tuple(row)[1:])
    return dict(found)


def _only(row: Mapping[str, Any], names: Iterable[str]) -> _Row:
    return tuple([row[name] for name in names])


def _values(kept: Iterable[_Row], made: Iterable[_Row]) -> Iterator[str]:
    one, two = ({row[:2]: row[2:] for row in map(plain, rows)} for rows in (kept, made))
    for key in sorted({*one, *two}, key=str):  # damage may have made bytes of a name
        where = " ".join(map(str, key))
        if key not in one or key not in two:
            yield f"run_values ({where})"
        elif one[key] != two[key]:
            pairs = zip(_VALUE[2:], one[key], two[key], strict=True)
            yield f"run_values ({where}: {', '.join(name for name, here, there in pairs if here != there)})"


def differing(kept: Mapping[Any, Any], told: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that are not what is told."""
    return [name for name, value in told.items() if kept[name] != value and plain(kept[name]) != plain(value)]


def plain(value: Any) -> Any:
    """Return a value as PostgreSQL's index has it: with U+FFFD for NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return type(value)(map(plain, value)) if isinstance(value, tuple | set) else value
