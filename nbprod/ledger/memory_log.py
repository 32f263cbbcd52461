"""The log of a ledger in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from nbprod.digest import canonical
from nbprod.ledger.events import RunEvent, StepEvent, to_json
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.log import Leaf, NoteKind, StoredNote, raised
from nbprod.ledger.moment import moment_text
from nbprod.merkle import leaf_hash

__all__ = ["MemoryLog"]


class MemoryLog:
    """An `EventLog` in memory.

    Args:
        events: returns the ledger's events.
    """

    def __init__(self, events: Callable[[], Sequence[StoredEvent]]) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._hashes: list[bytes] = []
        self._notes: list[tuple[NoteKind, StoredNote]] = []

    def sequence(self) -> int:
        """Give places to events (see `EventLog.sequence`)."""
        with self._lock:
            self._hashes += [leaf_hash(_body(stored)) for stored in self._events()[len(self._hashes) :]]
            return len(self._hashes)

    def size(self) -> int:
        """Return how many places were given."""
        return len(self._hashes)

    def waiting(self) -> int:
        """Return how many events have no place yet."""
        return len(self._events()) - len(self._hashes)

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return hashes of perfect subtrees (see `EventLog.nodes`)."""
        return raised(self._hashes[first << level : (first + count) << level], level, count)

    def leaves(self, first: int = 0) -> Iterator[Leaf]:
        """Yield the leaves in order."""
        yield from (self._leaf(index) for index in range(max(first, 0), len(self._hashes)))

    def faults(self) -> list[str]:
        """Return nothing: no event is ever lost here."""
        return []

    def leaf_of(self, seq: int) -> Leaf | None:
        """Return an event's leaf; None while it has no place."""
        return self._leaf(seq - 1) if 0 < seq <= len(self._hashes) else None

    def add_note(self, kind: NoteKind, body: str, *, behind: int | None = None) -> int | None:
        """Keep a note (see `EventLog.add_note`)."""
        with self._lock:
            if behind not in (None, sum(1 for each, _ in self._notes if each == kind)):
                return None
            self._notes.append((kind, StoredNote(len(self._notes) + 1, body)))
            return len(self._notes)

    def notes(self, kind: NoteKind) -> Iterator[StoredNote]:
        """Yield the notes of a kind in order."""
        for place in count():
            if place >= len(self._notes):
                return
            if self._notes[place][0] == kind:
                yield self._notes[place][1]

    def _leaf(self, index: int) -> Leaf:
        stored = self._events()[index]
        event = stored.event
        about = {
            "run_id": str(event.run_id) if isinstance(event, RunEvent) else None,
            "step": event.step if isinstance(event, StepEvent) else None,
            "kind": type(event).__name__,
            "at": moment_text(event.at),
        }
        return Leaf(index=index, seq=stored.seq, hash=self._hashes[index], body=_body(stored), about=about)


def _body(stored: StoredEvent) -> bytes:
    return canonical(to_json(stored.event))
