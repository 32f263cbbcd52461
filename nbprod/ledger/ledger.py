"""What every ledger does, whatever keeps its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nbprod.ledger.events import Event
from nbprod.ledger.log import EventLog, Leaf
from nbprod.ledger.query import RunQuery, RunRow
from nbprod.ledger.steps import StepVersion
from nbprod.ledger.uses import AskedUses, RunUse
from nbprod.record.ids import RunId

__all__ = ["Dossier", "Ledger", "StoredEvent"]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its place in the ledger.

    Args:
        seq: counts up in order of arrival.
        event: what happened.
    """

    seq: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """All that a ledger has of one run, as of one moment.

    Args:
        run_id: which.
        events: in order of arrival; where one cannot be read, those before it.
        leaves: of these events, by their numbers; one without a place is not among them.
        ended: whether the index says that the run has ended.
        differs: in what the index is not what the events make, or these do not follow from each other, for people.
        fault: why an event cannot be read, for people; None: all can.
    """

    run_id: RunId
    events: tuple[StoredEvent, ...]
    leaves: Mapping[int, Leaf]
    ended: bool = False
    differs: tuple[str, ...] = ()
    fault: str | None = None


class Ledger(Protocol):
    """The append-only list of events, and the index to query runs.

    One object serves many threads; many processes may open the same ledger, also after a fork. Once `append` has
    returned, the event survives a crash of process or machine. All methods may raise LedgerUnavailable.
    """

    @property
    def url(self) -> str:
        """The address that `open_ledger` takes to reach the same events."""
        ...

    @property
    def log(self) -> EventLog:
        """The events as leaves of a Merkle log."""
        ...

    def append(self, event: Event) -> int:
        """Keep an event and return its sequence number.

        Raises:
            AlreadyStarted: the run was started before.
            AlreadyFinished: the run has its verdict; carries it.
            Fenced: somebody has taken the run over since, to close it.
            AlreadyUnderWay: a shared run was to be started while another asks for the same; carries that one.
            StepMoved: a step's version or alias is not where the event says it was.
            NotFound: the run was never started, or the step's version never published.
            CallerError: the event holds what has no canonical JSON form.
        """
        ...

    def renew(self, run_id: RunId, *, lease_seconds: float, fence: int = 0) -> bool:
        """Prolong a run's lease from now on; no event. False, and nothing done, when the run has finished or is fenced.

        Args:
            run_id: the run.
            lease_seconds: how long, by the ledger's own clock.
            fence: the token of whoever asks; 0: the run's own runner.

        Raises:
            NotFound: the run was never started.
        """
        ...

    def take_over(self, run_id: RunId, *, lease_seconds: float, lapsed: bool) -> int | None:
        """Take over a run in order to close it, and return the next fencing token; no event.

        From then on whoever has an earlier token neither renews the lease nor ends the run.

        Args:
            run_id: the run.
            lease_seconds: how long nobody else may take it over, by the ledger's own clock.
            lapsed: only if its lease is over at this moment.

        Returns:
            The token, for `RunFinished.fence`; None, and nothing done, when it has finished, or its lease goes on.

        Raises:
            NotFound: the run was never started.
        """
        ...

    def now(self) -> datetime:
        """Return the time by the ledger's own clock, which judges leases; aware, UTC."""
        ...

    def lapsed(self) -> tuple[RunRow, ...]:
        """Return the runs without a verdict whose lease is over, by the ledger's own clock; the earliest first."""
        ...

    def run(self, run_id: RunId) -> RunRow:
        """Return a run.

        Raises:
            NotFound: the run was never started.
        """
        ...

    def find(self, text: str) -> RunId:
        """Return the run that a person means.

        Args:
            text: a whole id, the beginning or end of one (4 characters or more), a run's name, `@latest` or
                `STEP@latest`. A name goes before a part of an id.

        Raises:
            NotFound: no run fits.
            AmbiguousRun: several do; carries them.
        """
        ...

    def runs(self, query: RunQuery) -> Iterator[RunRow]:
        """Yield the runs that a query asks for, in flat memory.

        Each page is a snapshot of its own: a run that moves within the order meanwhile may be missed or seen twice.
        """
        ...

    def events(self, run_id: RunId | None = None, *, after: int = 0) -> Iterator[StoredEvent]:
        """Yield events in order of arrival, in flat memory.

        Args:
            run_id: only this run's.
            after: only those with a greater sequence number.
        """
        ...

    def dossiers(self, run_ids: Sequence[RunId]) -> Sequence[Dossier]:
        """Return all that there is of runs, in their order, as of one moment.

        Args:
            run_ids: which; a few hundred at most. One that was never started has no events and no row.

        Raises:
            IntegrityError: what is kept cannot be read at all; asked for one by one, the others can.
        """
        ...

    def strays(self) -> list[str]:
        """Say, for people, what the index tells of runs that no event tells of, or of published steps otherwise.

        With `dossiers` of all runs that have ended, this is all that the index says of them.
        """
        ...

    def published(self, step: str | None = None) -> tuple[StepVersion, ...]:
        """Return the versions of a step, or of all steps: by step, the latest version first."""
        ...

    def step_events(self, step: str) -> Iterator[StoredEvent]:
        """Yield the events of a step in order of arrival."""
        ...

    def uses(self, asked: AskedUses) -> tuple[RunUse, ...]:
        """Return what bytes runs used and left: the latest run's first, those of one run by role, digest and name."""
        ...

    def without_uses(self) -> int:
        """Return how many finished runs have no uses, as they are of before these were kept."""
        ...

    def request_cancel(self, run_id: RunId, *, by: str = "") -> bool:
        """Ask for a run to be cancelled, as an event; False, and nothing done, when the run has finished.

        Args:
            run_id: the run.
            by: who asks.

        Raises:
            NotFound: the run was never started.
        """
        ...

    def cancel_requested(self, run_id: RunId) -> bool:
        """Say whether anyone has asked for the run to be cancelled.

        Raises:
            NotFound: the run was never started.
        """
        ...

    def close(self) -> None:
        """Let go of connections; the object is not used any more."""
        ...
