"""A ledger in memory: the honest fake that the behaviour suite holds to the same promises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from nbprod.digest import canonical
from nbprod.ledger.errors import AlreadyUnderWay, Fenced
from nbprod.ledger.events import (
    AliasMoved,
    Event,
    RunCancelRequested,
    RunEvent,
    RunFinished,
    RunReviewed,
    RunStarted,
    StepEvent,
    StepPublished,
    StepReviewed,
    from_json,
    to_json,
)
from nbprod.ledger.flags import FLAGS, REPRODUCTION
from nbprod.ledger.index import fold, no_such_run, search_text, sought_text
from nbprod.ledger.ledger import Dossier, StoredEvent
from nbprod.ledger.memory_log import MemoryLog
from nbprod.ledger.moment import as_utc, utc_now
from nbprod.ledger.query import Condition, Order, RunQuery, RunRow
from nbprod.ledger.reference import CANDIDATES, resolve
from nbprod.ledger.steps import StepVersion, checked_alias, checked_review, checked_version
from nbprod.ledger.uses import AskedUses, RunUse
from nbprod.ledger.values import index_value, read_json, wanted
from nbprod.record.ids import RunId
from nbprod.record.uses import Use

__all__ = ["MemoryLedger"]


class MemoryLedger:
    """A `Ledger` that lives as long as the object does. Its URL opens a new, empty one.

    Args:
        clock: judges leases; aware.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._events: list[StoredEvent] = []
        self._rows: dict[RunId, RunRow] = {}
        self._cancelled: set[RunId] = set()
        self._fences: dict[RunId, int] = {}
        self._uses: dict[RunId, tuple[Use, ...]] = {}
        self._versions: dict[tuple[str, int], StepVersion] = {}
        self._aliases: dict[tuple[str, str], int] = {}
        self._log = MemoryLog(lambda: self._events)

    @property
    def url(self) -> str:
        """`memory://`, which reaches no other ledger's events."""
        return "memory://"

    @property
    def log(self) -> MemoryLog:
        """The events as leaves of a Merkle log."""
        return self._log

    def append(self, event: Event) -> int:
        """Keep an event (see `Ledger.append`)."""
        # Through bytes and back, as in a database: nobody shares a mutable value with the ledger.
        event = from_json(read_json(canonical(to_json(event)).decode()))
        with self._lock:
            if isinstance(event, RunEvent):
                self._index_run(event)
            elif isinstance(event, StepEvent):
                self._index_step(event)
            self._events.append(StoredEvent(len(self._events) + 1, event))
            return len(self._events)

    def _index_run(self, event: RunEvent) -> None:
        row = fold(self._rows.get(event.run_id), event)
        if isinstance(event, RunStarted):
            if event.shared:
                self._refuse_second(event)
            row = replace(row, lease_until=self._lease(event.lease_seconds))
        if isinstance(event, RunCancelRequested):
            self._cancelled.add(event.run_id)
        if isinstance(event, RunFinished) and event.fence != self._fences.get(event.run_id, 0):
            raise Fenced(event.run_id)
        if isinstance(event, RunFinished) and event.uses:
            self._uses[event.run_id] = tuple(dict.fromkeys(event.uses))
        self._rows[event.run_id] = row

    def _refuse_second(self, event: RunStarted) -> None:
        for row in self._rows.values():
            if row.shared and row.status is None and row.request_digest == event.request_digest:
                until = row.lease_until
                raise AlreadyUnderWay(row.run_id, lapsed=until is not None and until < as_utc(self._clock()))

    def _index_step(self, event: StepEvent) -> None:
        versions = {version for step, version in self._versions if step == event.step}
        if isinstance(event, StepPublished):
            checked_version(event, max(versions, default=0))
            self._versions[event.step, event.number] = StepVersion(
                step=event.step,
                version=event.number,
                manifest=event.manifest,
                published=event.at,
                by=event.by,
                note=event.note,
            )
        elif isinstance(event, AliasMoved):
            aliases = {alias: version for (step, alias), version in self._aliases.items() if step == event.step}
            checked_alias(event, frozenset(versions), aliases)
            if event.number is None:
                self._aliases.pop((event.step, event.alias), None)
            else:
                self._aliases[event.step, event.alias] = event.number
        elif isinstance(event, StepReviewed):
            checked_review(event, frozenset(versions))

    def renew(self, run_id: RunId, *, lease_seconds: float, fence: int = 0) -> bool:
        """Prolong a lease (see `Ledger.renew`)."""
        with self._lock:
            row = self.run(run_id)
            if row.status is not None or self._fences.get(run_id, 0) != fence:
                return False
            self._rows[run_id] = replace(row, lease_until=self._lease(lease_seconds))
            return True

    def take_over(self, run_id: RunId, *, lease_seconds: float, lapsed: bool) -> int | None:
        """Take over a run to close it (see `Ledger.take_over`)."""
        with self._lock:
            row = self.run(run_id)
            if row.status is not None or (lapsed and row not in self.lapsed()):
                return None
            self._rows[run_id] = replace(row, lease_until=self._lease(lease_seconds))
            self._fences[run_id] = self._fences.get(run_id, 0) + 1
            return self._fences[run_id]

    def now(self) -> datetime:
        """Return the time by the clock that judges leases (see `Ledger.now`)."""
        return as_utc(self._clock())

    def lapsed(self) -> tuple[RunRow, ...]:
        """Return the runs whose lease is over (see `Ledger.lapsed`)."""
        now = as_utc(self._clock())
        with self._lock:
            rows = [row for row in self._rows.values() if row.lease_until is not None and row.lease_until < now]
        return tuple(sorted(rows, key=lambda row: (row.lease_until, row.run_id)))

    def run(self, run_id: RunId) -> RunRow:
        """Return a run (see `Ledger.run`)."""
        row = self._rows.get(run_id)
        if row is None:
            raise no_such_run(run_id)
        return row

    def find(self, text: str) -> RunId:
        """Return the run that a person means (see `Ledger.find`)."""
        return resolve(text, self)

    def runs(self, query: RunQuery) -> Iterator[RunRow]:
        """Yield the runs asked for (see `Ledger.runs`)."""
        with self._lock:
            said = {each.event.run_id for each in self._events if isinstance(each.event, RunReviewed)}
            rows = [row for row in self._rows.values() if _matches(row, query)]
        if query.reviewed:
            rows = [row for row in rows if row.run_id in said]
        yield from _sorted(rows, query.order)[: query.limit]

    def events(self, run_id: RunId | None = None, *, after: int = 0) -> Iterator[StoredEvent]:
        """Yield events in order of arrival (see `Ledger.events`)."""
        for position in range(max(after, 0), len(self._events)):
            stored = self._events[position]
            if run_id is None or (isinstance(stored.event, RunEvent) and stored.event.run_id == run_id):
                yield stored

    def dossiers(self, run_ids: Sequence[RunId]) -> list[Dossier]:
        """Return all that there is of runs (see `Ledger.dossiers`)."""
        with self._lock:
            return [self._dossier(each) for each in run_ids]

    def _dossier(self, run_id: RunId) -> Dossier:
        events = tuple(self.events(run_id))
        found = [leaf for stored in events if (leaf := self.log.leaf_of(stored.seq)) is not None]
        leaves = {leaf.seq: leaf for leaf in found}
        row = self._rows.get(run_id)  # made of these events: there is nothing to compare
        return Dossier(run_id=run_id, events=events, leaves=leaves, ended=row is not None and row.status is not None)

    def strays(self) -> list[str]:
        """Say what the index tells beside the events (see `Ledger.strays`): nothing, as it is made of them."""
        return []

    def published(self, step: str | None = None) -> tuple[StepVersion, ...]:
        """Return the versions of steps (see `Ledger.published`)."""
        with self._lock:
            found = [each for each in self._versions.values() if step is None or each.step == step]
            aliases = dict(self._aliases)
        found.sort(key=lambda each: (each.step, -each.version))
        return tuple(
            replace(
                each, aliases=tuple(sorted(a for (s, a), v in aliases.items() if (s, v) == (each.step, each.version)))
            )
            for each in found
        )

    def step_events(self, step: str) -> Iterator[StoredEvent]:
        """Yield the events of a step (see `Ledger.step_events`)."""
        yield from (
            each for each in list(self._events) if isinstance(each.event, StepEvent) and each.event.step == step
        )

    def uses(self, asked: AskedUses) -> tuple[RunUse, ...]:
        """Return what bytes runs used and left (see `Ledger.uses`)."""
        with self._lock:
            kept = sorted(self._uses.items(), reverse=True)
        found = [
            RunUse(run_id=run_id, use=use)
            for run_id, uses in kept
            for use in sorted(uses, key=lambda use: (use.role, use.digest, use.name))
            if asked.fits(run_id, use)
        ]
        return tuple(found[: asked.limit])

    def without_uses(self) -> int:
        """Return how many runs are of before uses were kept (see `Ledger.without_uses`)."""
        with self._lock:
            return sum(row.status is not None and run_id not in self._uses for run_id, row in self._rows.items())

    def request_cancel(self, run_id: RunId, *, by: str = "") -> bool:
        """Ask for a run to be cancelled (see `Ledger.request_cancel`)."""
        with self._lock:
            if self.run(run_id).status is not None:
                return False
            self.append(RunCancelRequested(at=self._clock(), run_id=run_id, by=by))
            return True

    def cancel_requested(self, run_id: RunId) -> bool:
        """Say whether a cancel was asked for (see `Ledger.cancel_requested`)."""
        self.run(run_id)
        return run_id in self._cancelled

    def close(self) -> None:
        """Do nothing: there are no connections."""

    # --- Directory ---

    def latest(self, step: str | None) -> RunId | None:
        """Return the run that was started last, of a step or of all; a reproduction only if there is no other."""

        def asked(row: RunRow) -> bool:
            return step is None or row.step == step

        found = self._latest_first(lambda row: asked(row) and REPRODUCTION not in row.tags) or self._latest_first(asked)
        return found[0] if found else None

    def named(self, name: str) -> tuple[RunId, ...]:
        """Return runs with this name."""
        return self._latest_first(lambda row: row.name == name)

    def partly(self, part: str) -> tuple[RunId, ...]:
        """Return runs whose id begins or ends so."""
        return self._latest_first(lambda row: row.run_id.text.startswith(part) or row.run_id.text.endswith(part))

    def _latest_first(self, fits: Callable[[RunRow], bool]) -> tuple[RunId, ...]:
        with self._lock:
            rows = [row for row in self._rows.values() if fits(row)]
        return tuple(row.run_id for row in _sorted(rows, Order())[:CANDIDATES])

    def _lease(self, seconds: float) -> datetime:
        return as_utc(self._clock()) + timedelta(seconds=seconds)


def _matches(row: RunRow, query: RunQuery) -> bool:
    return (
        (not query.steps or row.step in query.steps)
        and (not query.statuses or row.status in query.statuses)
        and (query.running is None or (row.status is None) == query.running)
        and (query.since is None or row.started >= as_utc(query.since))
        and (query.until is None or row.started < as_utc(query.until))
        and (query.request is None or row.request_digest == query.request)
        and (query.occasion is None or row.occasion == query.occasion)
        and (query.flow_run is None or row.flow_run == query.flow_run)
        and (query.of is None or row.of == query.of)
        and (query.retry_of is None or row.retry_of == query.retry_of)
        and set(query.tags) <= set(row.tags)
        and not (query.flagged and set(FLAGS).isdisjoint(row.tags))
        and (query.text is None or sought_text(query.text) in search_text(row))
        and all(_fulfils(row, condition) for condition in query.where)
    )


def _fulfils(row: RunRow, condition: Condition) -> bool:
    values = row.parameters if condition.kind == "parameter" else row.scraps
    if condition.name not in values:
        return False
    found, sought = index_value(values[condition.name]), wanted(condition.value)
    equal = (found.number is not None and found.number == sought.number) or found.text in sought.texts
    if condition.op in ("=", "!="):
        return equal == (condition.op == "=")
    left: Any = found.number if sought.number is not None else found.text
    right: Any = sought.number if sought.number is not None else sought.texts[0]
    if left is None:
        return False
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[condition.op])


def _sorted(rows: list[RunRow], order: Order) -> list[RunRow]:
    """Sort in groups, each by one type of key: those without the value come last in both directions."""
    keyed = [(_key(row, order), row) for row in rows]
    answer: list[RunRow] = []
    for group in range(3):
        members = [(key, row) for (place, *key), row in keyed if place == group]
        answer += [row for _, row in sorted(members, key=lambda each: each[0], reverse=order.descending)]
    return answer


def _key(row: RunRow, order: Order) -> tuple[Any, ...]:
    missing = (2, row.started, row.run_id)
    if order.value is not None:
        kind, name = order.value
        values = row.parameters if kind == "parameter" else row.scraps
        if name not in values:
            return missing
        found = index_value(values[name])
        return (0, found.number, row.run_id) if found.number is not None else (1, found.text, row.run_id)
    value = getattr(row, order.by)
    if value is None:
        return missing
    if order.by == "started":
        return (0, row.started, row.run_id)
    return (0, value, row.started, row.run_id)
