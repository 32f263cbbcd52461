"""A ledger as lines of JSON: one event each, canonical (RFC 8785), with its number; the same from any database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from nbprod.digest import canonical
from nbprod.errors import CallerError, IntegrityError
from nbprod.ledger.events import from_json, to_json
from nbprod.ledger.ledger import Ledger, StoredEvent
from nbprod.ledger.values import read_json

__all__ = ["exported", "import_lines", "take_over"]

_BATCH = 1000
"""Events that one transaction takes over."""


def exported(ledger: Ledger) -> Iterator[bytes]:
    """Yield a line per event, in order."""
    for stored in ledger.events():
        yield canonical({"seq": stored.seq, "event": to_json(stored.event)}) + b"\n"


def import_lines(ledger: Ledger, lines: Iterable[bytes]) -> tuple[int, int]:
    """Put exported events into a ledger that is empty, or holds the beginning of the same events.

    Returns:
        How many events there were, and how many of them were not there yet.

    Raises:
        IntegrityError: a line is no exported event, or the ledger holds other events.
        CallerError: a ledger that keeps its events nowhere.
    """
    return take_over(ledger, _parsed(lines))


def take_over(ledger: Ledger, events: Iterator[StoredEvent]) -> tuple[int, int]:
    """Put events with their numbers into a ledger that is empty, or holds the beginning of the same events.

    Returns:
        How many events there were, and how many of them were not there yet.

    Raises:
        IntegrityError: the ledger holds other events.
        CallerError: a ledger that keeps its events nowhere.
    """
    from nbprod.ledger.sql import SqlLedger  # noqa: PLC0415  SQLAlchemy takes 0.2 s to import

    if not isinstance(ledger, SqlLedger):
        raise CallerError("events are imported into a database only", expected="SQLite or PostgreSQL", found=ledger.url)
    total = new = 0
    for batch in _batches(events):
        total += len(batch)
        new += ledger.restore(batch)
    return total, new


def _batches(stored: Iterator[StoredEvent]) -> Iterator[list[StoredEvent]]:
    while batch := list(islice(stored, _BATCH)):
        yield batch


def _parsed(lines: Iterable[bytes]) -> Iterator[StoredEvent]:
    before = 0
    for number, line in enumerate(lines, 1):
        try:
            read: Any = read_json(line.decode())
            stored = StoredEvent(int(read["seq"]), from_json(read["event"]))
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"line {number} is no exported event", expected="what `nbprod ledger export` writes", found=str(error)
            ) from error
        if stored.seq <= before:
            raise IntegrityError(
                f"line {number} is out of order", expected=f"a number above {before}", found=str(stored.seq)
            )
        before = stored.seq
        yield stored
