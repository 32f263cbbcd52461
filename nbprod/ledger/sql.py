"""A ledger in a SQL database (SQLAlchemy Core)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, FromClause, Select, delete, exists, insert, or_, select, update

from nbprod.digest import canonical
from nbprod.ledger.connections import Connections, Database
from nbprod.ledger.errors import damaged
from nbprod.ledger.events import (
    Event,
    RunCancelRequested,
    RunEvent,
    RunFinished,
    RunStarted,
    StepEvent,
    from_json,
    to_json,
)
from nbprod.ledger.flags import REPRODUCTION
from nbprod.ledger.index import fold, no_such_run
from nbprod.ledger.lease_rows import prolong, refuse_fenced, take_over
from nbprod.ledger.ledger import Dossier, StoredEvent
from nbprod.ledger.moment import moment_text, parse_moment, utc_now
from nbprod.ledger.query import Order, RunQuery, RunRow
from nbprod.ledger.reference import CANDIDATES, resolve
from nbprod.ledger.restore import restored
from nbprod.ledger.rows import from_columns, to_columns, value_columns
from nbprod.ledger.schema import is_current, migrate, version_of
from nbprod.ledger.selection import selected, stretches
from nbprod.ledger.shortlist import is_asked_for, shortlist
from nbprod.ledger.sql_dossier import read_dossiers
from nbprod.ledger.sql_log import SqlLog
from nbprod.ledger.step_index import index_step, versions_of
from nbprod.ledger.steps import StepVersion
from nbprod.ledger.tables import events, run_tags, run_uses, run_values, runs
from nbprod.ledger.under_way import under_way
from nbprod.ledger.use_index import count_untold, find_uses, use_columns
from nbprod.ledger.uses import AskedUses, RunUse
from nbprod.ledger.values import read_json
from nbprod.record.ids import RunId

__all__ = ["SqlLedger"]

T = TypeVar("T")

_PAGE = 200
"""Rows fetched at a time: with scraps of their greatest size still a bearable amount of memory."""


class SqlLedger:
    """A `Ledger` in a SQL database. An event and what follows from it in the index are one transaction.

    Args:
        database: which.
        clock: dates the events that the ledger itself makes; aware.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._connections = Connections(database)
        self.migrated_from: str | None = None
        """The schema version that opening the ledger found, where that was not this version's; empty: none."""
        try:
            if not self._connections.read(lambda connection: is_current(connection, database.url)):
                self._connections.write(self._migrate)
        except BaseException:
            self.close()
            raise

    def _migrate(self, connection: Connection) -> None:
        self._take_turns(connection, "migrate")
        found = version_of(connection) or ""
        if migrate(connection, self._database.url):
            self.migrated_from = found

    def _take_turns(self, connection: Connection, what: str) -> None:
        if self._database.network is not None:  # elsewhere, whoever writes is alone
            self._database.network.take_turns(connection, what)

    @property
    def url(self) -> str:
        """The database's address."""
        return self._database.url

    @property
    def log(self) -> SqlLog:
        """The events as leaves of a Merkle log."""
        across = self._database.network is not None
        return SqlLog(self._connections, self._take_turns, lambda: self._settled(0) if across else None)

    def reading(self, work: Callable[[Connection], T]) -> T:
        """Do what reads tables, in a transaction that sees one moment."""
        return self._connections.read(work)

    def append(self, event: Event) -> int:
        """Keep an event (see `Ledger.append`)."""
        body = canonical(to_json(event)).decode()  # outside the transaction: others wait for it
        if self._database.network is not None and isinstance(event, RunStarted | RunFinished):
            return self._connections.once(self._database.network.once(event, body))
        return self._connections.write(lambda connection: self._append(connection, event, body))

    def renew(self, run_id: RunId, *, lease_seconds: float, fence: int = 0) -> bool:
        """Prolong a lease (see `Ledger.renew`)."""
        from_now = self._database.from_now
        return self._connections.write(lambda connection: prolong(connection, run_id, lease_seconds, fence, from_now))

    def take_over(self, run_id: RunId, *, lease_seconds: float, lapsed: bool) -> int | None:
        """Take over a run to close it (see `Ledger.take_over`)."""
        from_now = self._database.from_now
        return self._connections.write(
            lambda connection: take_over(connection, run_id, lease_seconds, from_now, lapsed=lapsed)
        )

    def now(self) -> datetime:
        """Return the time by the database's clock (see `Ledger.now`)."""
        query = select(self._database.from_now(0))
        return parse_moment(self._connections.read(lambda connection: str(connection.execute(query).scalar_one())))

    def lapsed(self) -> tuple[RunRow, ...]:
        """Return the runs whose lease is over (see `Ledger.lapsed`)."""
        query = (
            select(runs)
            .where(runs.c.lease_until < self._database.from_now(0))
            .order_by(runs.c.lease_until, runs.c.run_id)
        )
        return self._connections.read(lambda connection: _rows(connection, query))

    def run(self, run_id: RunId) -> RunRow:
        """Return a run (see `Ledger.run`)."""
        return self._connections.read(lambda connection: _row(connection, run_id))

    def find(self, text: str) -> RunId:
        """Return the run that a person means (see `Ledger.find`)."""
        return resolve(text, self)

    def runs(self, query: RunQuery) -> Iterator[RunRow]:
        """Yield the runs asked for (see `Ledger.runs`)."""
        source: FromClause = runs
        if is_asked_for(query):
            source = self._connections.read(partial(shortlist, query=query, search=self._database.search))
        conditions = selected(query, source)
        left = query.limit
        for stretch in stretches(query.order, source):
            after: tuple[Any, ...] | None = None
            while left is None or left > 0:
                size = _PAGE if left is None else min(left, _PAGE)
                found, rows = self._connections.read(partial(_page, query=stretch.page(after, size).where(*conditions)))
                yield from rows
                left = None if left is None else left - len(rows)
                if len(rows) < size:
                    break
                after = tuple(found[-1][f"key{place}"] for place in range(len(stretch.keys)))

    def events(self, run_id: RunId | None = None, *, after: int = 0) -> Iterator[StoredEvent]:
        """Yield events in order of arrival (see `Ledger.events`)."""
        yield from self._events(after, *(() if run_id is None else (events.c.run_id == str(run_id),)))

    def step_events(self, step: str) -> Iterator[StoredEvent]:
        """Yield the events of a step (see `Ledger.step_events`)."""
        yield from self._events(0, events.c.step == step)

    def _events(self, after: int, *conditions: Any) -> Iterator[StoredEvent]:
        base = select(events.c.seq, events.c.body).where(*conditions).order_by(events.c.seq).limit(_PAGE)
        settled = 0
        while True:
            query = base.where(events.c.seq > after)
            page = self._fetched(query)
            last = page[-1].seq if page else after
            # A number is missing: perhaps drawn by a transaction that will be committed later. Those of one run or step
            # are committed in order.
            if not conditions and last > settled and last - after > len(page) and self._database.network is not None:
                settled = self._settled(last)
                page = self._fetched(query.where(events.c.seq <= settled))
            for seq, body in page:
                try:
                    event = from_json(read_json(body))
                except ValueError as error:
                    raise damaged(f"event {seq} of the ledger", error) from error
                yield StoredEvent(seq, event)
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def _fetched(self, query: Select[Any]) -> Sequence[Any]:
        return self._connections.read(lambda connection: connection.execute(query).all())

    def _settled(self, seen: int) -> int:
        """Return a sequence number, at least that one, up to which no event will appear any more."""
        network = self._database.network
        assert network is not None  # noqa: S101 - asked before
        drawn = self._connections.read(network.last_drawn)
        self._connections.read(network.settle)
        return max(drawn, seen)

    def check_search(self) -> list[str]:
        """Compare the index of texts with the runs; return where they differ, for people."""
        check = self._database.check_search
        return [] if check is None else self._connections.write(check)

    def dossiers(self, run_ids: Sequence[RunId]) -> list[Dossier]:
        """Return all that there is of runs (see `Ledger.dossiers`)."""
        return self._connections.read(lambda connection: read_dossiers(connection, run_ids))

    def strays(self) -> list[str]:
        """Say what the index tells beside the events (see `Ledger.strays`)."""
        from nbprod.ledger.stretch import strays  # noqa: PLC0415 - for whoever verifies all

        return self._connections.read(strays)

    def published(self, step: str | None = None) -> tuple[StepVersion, ...]:
        """Return the versions of steps (see `Ledger.published`)."""
        return self._connections.read(lambda connection: versions_of(connection, step))

    def uses(self, asked: AskedUses) -> tuple[RunUse, ...]:
        """Return what bytes runs used and left (see `Ledger.uses`)."""
        return self._connections.read(lambda connection: find_uses(connection, asked))

    def without_uses(self) -> int:
        """Return how many runs are of before uses were kept (see `Ledger.without_uses`)."""
        return self._connections.read(count_untold)

    def restore(self, stored: Sequence[StoredEvent]) -> int:
        """Take over events of another ledger, with their numbers and in their order, in one transaction.

        Args:
            stored: the events that follow those which are here, or are here already.

        Returns:
            How many were not here yet.

        Raises:
            IntegrityError: this ledger holds other events under these numbers.
        """

        def restore(connection: Connection) -> int:
            self._take_turns(connection, "restore")
            return restored(connection, stored, self._database.from_now)

        return self._connections.write(restore)

    def request_cancel(self, run_id: RunId, *, by: str = "") -> bool:
        """Ask for a run to be cancelled (see `Ledger.request_cancel`)."""
        event = RunCancelRequested(at=self._clock(), run_id=run_id, by=by)
        body = canonical(to_json(event)).decode()

        def ask(connection: Connection) -> bool:
            if _row(connection, run_id, change=True).status is not None:
                return False
            self._append(connection, event, body)
            return True

        return self._connections.write(ask)

    def cancel_requested(self, run_id: RunId) -> bool:
        """Say whether a cancel was asked for (see `Ledger.cancel_requested`)."""
        query = select(runs.c.cancel_requested).where(runs.c.run_id == str(run_id))
        found = self._connections.read(lambda connection: connection.execute(query).first())
        if found is None:
            raise no_such_run(run_id)
        return found[0] is not None

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    # --- Directory ---

    def latest(self, step: str | None) -> RunId | None:
        """Return the run that was started last, of a step or of all; a reproduction only if there is no other."""
        terms = selected(RunQuery(steps=() if step is None else (step,)))
        repeated = exists().where(run_tags.c.run_id == runs.c.run_id, run_tags.c.tag == REPRODUCTION)
        found = self._ids((*terms, ~repeated), 1) or self._ids(terms, 1)
        return found[0] if found else None

    def named(self, name: str) -> tuple[RunId, ...]:
        """Return runs with this name."""
        return self._ids((runs.c.name == name,), CANDIDATES)

    def partly(self, part: str) -> tuple[RunId, ...]:
        """Return runs whose id begins or ends so."""
        # Ranges, not LIKE: both indexes serve. "g" stands after every character of an id.
        begins = runs.c.run_id.between(part, part + "g")
        ends = runs.c.reversed_id.between(part[::-1], part[::-1] + "g")
        return self._ids((or_(begins, ends),), CANDIDATES)

    def _ids(self, conditions: tuple[Any, ...], limit: int) -> tuple[RunId, ...]:
        (stretch,) = stretches(Order())
        query = stretch.page(None, limit).where(*conditions).with_only_columns(runs.c.run_id)
        found = self._connections.read(lambda connection: connection.execute(query).scalars().all())
        return tuple(RunId(each) for each in found)

    # --- writing ---

    def _append(self, connection: Connection, event: Event, body: str) -> int:
        about = {"kind": type(event).__name__, "at": moment_text(event.at), "body": body}
        if isinstance(event, StepEvent):
            self._take_turns(connection, f"step {event.step}")
            index_step(connection, event)
            return _kept(connection, step=event.step, **about)
        assert isinstance(event, RunEvent)  # noqa: S101 - there are no others
        before = _row_or_none(connection, event.run_id, change=True)
        after = fold(before, event)
        if isinstance(event, RunFinished):
            refuse_fenced(connection, event.run_id, event.fence)
        if isinstance(event, RunStarted) and event.shared:  # by a single writer: others keep a start by one statement
            refusal = under_way(connection, event.request_digest, self._database.from_now(0))
            if refusal is not None:
                raise refusal
        seq = _kept(connection, run_id=str(event.run_id), **about)
        self._index(connection, event, before, after)
        return seq

    def _index(self, connection: Connection, event: RunEvent, before: RunRow | None, after: RunRow) -> None:
        here = runs.c.run_id == str(event.run_id)
        if isinstance(event, RunStarted):
            lease = self._database.from_now(event.lease_seconds)
            connection.execute(insert(runs).values(**to_columns(after), lease_until=lease))
            _keep_values(connection, event.run_id, "parameter", event.parameters)
        else:
            old = to_columns(before) if before is not None else {}
            changed: dict[str, Any] = {key: value for key, value in to_columns(after).items() if old[key] != value}
            if isinstance(event, RunFinished):
                changed["lease_until"] = None
                _keep_values(connection, event.run_id, "scrap", event.scraps)
                if rows := use_columns(event.run_id, event.uses):
                    connection.execute(insert(run_uses), rows)
            if changed:
                connection.execute(update(runs).where(here).values(**changed))
            if isinstance(event, RunCancelRequested):
                first = update(runs).where(here, runs.c.cancel_requested.is_(None))
                connection.execute(first.values(cancel_requested=moment_text(event.at)))
        _keep_tags(connection, event.run_id, set(before.tags) if before else set(), set(after.tags))


def _kept(connection: Connection, **columns: str) -> int:
    return int(connection.execute(insert(events).values(**columns).returning(events.c.seq)).scalar_one())


def _row_or_none(connection: Connection, run_id: RunId, *, change: bool = False) -> RunRow | None:
    query = select(runs).where(runs.c.run_id == str(run_id))
    found = _rows(connection, query.with_for_update() if change else query)  # writers of one run come one by one
    return found[0] if found else None


def _row(connection: Connection, run_id: RunId, *, change: bool = False) -> RunRow:
    row = _row_or_none(connection, run_id, change=change)
    if row is None:
        raise no_such_run(run_id)
    return row


def _page(connection: Connection, query: Select[Any]) -> tuple[Sequence[Any], tuple[RunRow, ...]]:
    found = connection.execute(query).mappings().all()
    return found, _with_tags(connection, found)


def _rows(connection: Connection, query: Select[Any]) -> tuple[RunRow, ...]:
    return _with_tags(connection, connection.execute(query).mappings().all())


def _with_tags(connection: Connection, found: Any) -> tuple[RunRow, ...]:
    ids = [columns["run_id"] for columns in found]
    tags: dict[str, list[str]] = {each: [] for each in ids}
    if ids:
        for run_id, tag in connection.execute(select(run_tags).where(run_tags.c.run_id.in_(ids))):
            tags[run_id].append(tag)
    return tuple(from_columns(columns, tags[columns["run_id"]]) for columns in found)


def _keep_values(connection: Connection, run_id: RunId, kind: str, values: Mapping[str, Any]) -> None:
    rows = [value_columns(run_id, kind, name, value) for name, value in values.items()]
    if rows:
        connection.execute(insert(run_values), rows)


def _keep_tags(connection: Connection, run_id: RunId, before: set[str], after: set[str]) -> None:
    if gone := before - after:
        connection.execute(delete(run_tags).where(run_tags.c.run_id == str(run_id), run_tags.c.tag.in_(gone)))
    if new := after - before:
        connection.execute(insert(run_tags), [{"run_id": str(run_id), "tag": tag} for tag in sorted(new)])
