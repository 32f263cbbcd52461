"""The events as leaves of a Merkle log: each gets a place for ever, so that a root proves all that was there.

Places are given late and in batches, never while an event is kept: nobody's run waits for them. A leaf's bytes are the
event's stored form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from nbprod.errors import IntegrityError
from nbprod.merkle import HASH_SIZE, node_hash

__all__ = ["TILE", "EventLog", "Leaf", "NoteKind", "StoredNote", "raised"]

TILE = 8
"""Levels between the nodes that are kept: one in 256, the others follow from them (as in c2sp.org/tlog-tiles)."""


class NoteKind(StrEnum):
    """What a log's owner keeps beside it."""

    CHECKPOINT = "checkpoint"
    """A signed checkpoint."""
    KEYS = "keys"
    """A signed list of keys."""


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A note, with its place among all of them.

    Args:
        number: counts up.
        body: signed text.
    """

    number: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An event's place in the log, and what stands in the ledger for it.

    Args:
        index: the place, from 0 on.
        seq: the event's number.
        hash: as it was when the place was given; empty where what is kept is no hash any more.
        body: the event's stored form as it is now; None: there is no such event any more.
        about: what stands beside the body in columns of its own, by name: `run_id`, `step`, `kind`, `at`.
    """

    index: int
    seq: int
    hash: bytes
    body: bytes | None
    about: dict[str, str | None]


class EventLog(Protocol):
    """A ledger's log. All methods may raise LedgerUnavailable."""

    def sequence(self) -> int:
        """Give a place to each event that has none, in the order of their numbers; return how many have one.

        An event that was committed late, with a lower number than others, comes behind them: no place ever changes.
        """
        ...

    def size(self) -> int:
        """Return how many places were given."""
        ...

    def waiting(self) -> int:
        """Return how many events have no place yet."""
        ...

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return hashes of perfect subtrees (see `nbprod.merkle.Nodes`).

        Raises:
            IntegrityError: some of them are not there.
        """
        ...

    def leaves(self, first: int = 0) -> Iterator[Leaf]:
        """Yield the leaves in order, in flat memory.

        Args:
            first: only those from this place on.
        """
        ...

    def faults(self) -> list[str]:
        """Say, for people, where the log itself is not whole: places without an event, or that are missing."""
        ...

    def leaf_of(self, seq: int) -> Leaf | None:
        """Return an event's leaf; None while it has no place."""
        ...

    def add_note(self, kind: NoteKind, body: str, *, behind: int | None = None) -> int | None:
        """Keep a note, for ever; return its number.

        Args:
            kind: what it is.
            body: signed text.
            behind: how many notes of that kind the writer knows: where there are others, nothing is kept, and None
                returned.
        """
        ...

    def notes(self, kind: NoteKind) -> Iterator[StoredNote]:
        """Yield the notes of a kind in order."""
        ...


def raised(found: Sequence[bytes], levels: int, count: int) -> Sequence[bytes]:
    """Return the hashes so many levels above those found.

    Args:
        found: hashes of one level, `count` times `2**levels` of them.
        levels: how far up.
        count: how many hashes are wanted.

    Raises:
        IntegrityError: there are fewer, or some are no hashes.
    """
    if len(found) != count << levels or any(len(each) != HASH_SIZE for each in found):
        raise IntegrityError(
            "the log has a gap", expected=f"{count << levels} hashes of {HASH_SIZE} bytes", found=f"{len(found)}"
        )
    for _ in range(levels):
        found = [node_hash(found[place], found[place + 1]) for place in range(0, len(found), 2)]
    return found
