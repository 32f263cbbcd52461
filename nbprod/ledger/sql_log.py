"""The log of a ledger in a SQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from nbprod.errors import IntegrityError
from nbprod.ledger.bulk import insert_rows
from nbprod.ledger.connections import Connections
from nbprod.ledger.log import TILE, Leaf, NoteKind, StoredNote, raised
from nbprod.ledger.tables import events, log_leaves, log_nodes, log_notes
from nbprod.merkle import leaf_hash

__all__ = ["SqlLog", "leaf_of_row"]

_BATCH = 1000
"""Events that one transaction gives places to."""
_PAGE = 500
_NO_TEXT = "(damaged: no text any more)"
_TOLD = 20
"""Faults that are named one by one."""


class SqlLog:
    """An `EventLog` in a SQL database.

    Args:
        connections: to the database.
        take_turns: lets a transaction wait until no other one that asked for the same is under way.
        settled: returns a sequence number up to which no event will appear any more; None: all that are there.
    """

    def __init__(
        self,
        connections: Connections,
        take_turns: Callable[[Connection, str], None],
        settled: Callable[[], int | None],
    ) -> None:
        self._connections = connections
        self._take_turns = take_turns
        self._settled = settled

    def sequence(self) -> int:
        """Give places to events (see `EventLog.sequence`)."""
        if not self.waiting():
            return self.size()
        upto = self._settled()
        after = 0  # in the first batch also those that came late: they are looked for among all
        while True:
            size, after, more = self._connections.write(partial(self._batch, after=after, upto=upto))
            if not more:
                return size

    def _batch(self, connection: Connection, *, after: int, upto: int | None) -> tuple[int, int, bool]:
        """Give places to some events; return the log's size, the last event's number, and whether there may be more."""
        self._take_turns(connection, "log")
        size = _size(connection)
        placed = select(log_leaves.c.idx).where(log_leaves.c.seq == events.c.seq).exists()
        query = select(events.c.seq, events.c.body).where(events.c.seq > after, ~placed)
        if upto is not None:
            query = query.where(events.c.seq <= upto)
        found = connection.execute(query.order_by(events.c.seq).limit(_BATCH)).all()
        if not found:
            return size, after, False
        hashes = [leaf_hash(_body(row)) for row in found]
        rows = [
            {"idx": size + place, "seq": row.seq, "hash": hashed.hex()}
            for place, (row, hashed) in enumerate(zip(found, hashes, strict=True))
        ]
        insert_rows(connection, log_leaves, rows)
        _complete(connection, size, size + len(found))
        return size + len(found), found[-1].seq, len(found) == _BATCH

    def size(self) -> int:
        """Return how many places were given."""
        return self._connections.read(_size)

    def waiting(self) -> int:
        """Return how many events have no place yet."""

        def count(connection: Connection) -> int:
            there = connection.execute(select(func.count()).select_from(events)).scalar_one()
            joined = log_leaves.join(events, events.c.seq == log_leaves.c.seq)
            return int(there) - int(connection.execute(select(func.count()).select_from(joined)).scalar_one())

        return self._connections.read(count)

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return hashes of perfect subtrees (see `EventLog.nodes`)."""
        return self._connections.read(partial(_nodes, level=level, first=first, count=count))

    def leaves(self, first: int = 0) -> Iterator[Leaf]:
        """Yield the leaves in order (see `EventLog.leaves`)."""
        while True:
            query = _leaves().where(log_leaves.c.idx >= first).order_by(log_leaves.c.idx).limit(_PAGE)
            page = self._all(query)
            yield from map(leaf_of_row, page)
            if len(page) < _PAGE:
                return
            first = page[-1].idx + 1

    def faults(self) -> list[str]:
        """Say where the log is not whole (see `EventLog.faults`)."""
        return self._connections.read(_faults)

    def leaf_of(self, seq: int) -> Leaf | None:
        """Return an event's leaf; None while it has no place."""
        found = self._all(_leaves().where(log_leaves.c.seq == seq))
        return leaf_of_row(found[0]) if found else None

    def add_note(self, kind: NoteKind, body: str, *, behind: int | None = None) -> int | None:
        """Keep a note (see `EventLog.add_note`)."""

        def add(connection: Connection) -> int | None:
            self._take_turns(connection, "log")
            same = select(func.count()).select_from(log_notes).where(log_notes.c.kind == str(kind))
            if behind is not None and connection.execute(same).scalar_one() != behind:
                return None
            last = connection.execute(select(func.max(log_notes.c.number))).scalar() or 0
            connection.execute(insert(log_notes).values(number=last + 1, kind=str(kind), body=body))
            return int(last) + 1

        return self._connections.write(add)

    def notes(self, kind: NoteKind) -> Iterator[StoredNote]:
        """Yield the notes of a kind in order."""
        number = 0
        while True:
            query = select(log_notes).where(log_notes.c.kind == str(kind), log_notes.c.number > number)
            page = self._all(query.order_by(log_notes.c.number).limit(_PAGE))
            # Where damage has made no text of it, this stands for it: whoever reads it finds that it is no note.
            yield from (StoredNote(row.number, row.body if isinstance(row.body, str) else _NO_TEXT) for row in page)
            if len(page) < _PAGE:
                return
            number = page[-1].number

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        return self._connections.read(lambda connection: connection.execute(query).all())


def _size(connection: Connection) -> int:
    last = connection.execute(select(func.max(log_leaves.c.idx))).scalar()
    return 0 if last is None else int(last) + 1


def _faults(connection: Connection) -> list[str]:
    joined = log_leaves.outerjoin(events, events.c.seq == log_leaves.c.seq)
    query = select(log_leaves.c.idx).select_from(joined).where(events.c.seq.is_(None)).order_by(log_leaves.c.idx)
    lost = connection.execute(query.limit(_TOLD)).scalars().all()
    faults = [f"the event at place {index} is not there any more" for index in lost]
    count = int(connection.execute(select(func.count()).select_from(log_leaves)).scalar_one())
    if count != _size(connection):
        faults.append(f"{_size(connection) - count} places are missing")
    return faults


def _leaves() -> Select[Any]:
    beside = (events.c.body, events.c.run_id, events.c.step, events.c.kind, events.c.at)
    joined = log_leaves.outerjoin(events, events.c.seq == log_leaves.c.seq)
    return select(log_leaves.c.idx, log_leaves.c.seq, log_leaves.c.hash, *beside).select_from(joined)


def _body(row: Any) -> bytes:
    """Return an event's body as it is kept.

    Raises:
        IntegrityError: there is none.
    """
    if not isinstance(row.body, str):
        raise IntegrityError(
            f"event {row.seq} of the ledger is damaged",
            expected="its body",
            found=repr(row.body)[:100],
            hint="Keep a copy of the ledger before anything else; `PRAGMA integrity_check` tells what is damaged",
        )
    return row.body.encode()


def leaf_of_row(row: Any) -> Leaf:
    """Return the leaf that a row of leaves, with its event, holds."""
    return Leaf(
        index=row.idx,
        seq=row.seq,
        hash=_hash_or_none(row.hash),
        body=None if row.body is None else str(row.body).encode(),  # damage may have made a number of it
        about={name: getattr(row, name) for name in ("run_id", "step", "kind", "at")},
    )


def _hash_or_none(text: str) -> bytes:
    try:
        return _hash(text)
    except IntegrityError:
        return b""  # which no event has: whoever compares it finds the fault


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise IntegrityError("the log holds what is no hash", found=repr(text)[:80]) from error


def _nodes(connection: Connection, *, level: int, first: int, count: int) -> Sequence[bytes]:
    kept = level - level % TILE
    begin, end = first << level - kept, (first + count) << level - kept
    if kept:
        query = select(log_nodes.c.hash).where(log_nodes.c.level == kept, log_nodes.c.idx.between(begin, end - 1))
        query = query.order_by(log_nodes.c.idx)
    else:
        query = select(log_leaves.c.hash).where(log_leaves.c.idx.between(begin, end - 1)).order_by(log_leaves.c.idx)
    return raised([_hash(each) for each in connection.execute(query).scalars()], level - kept, count)


def _complete(connection: Connection, before: int, after: int) -> None:
    """Keep the nodes that have become complete with the leaves from `before` up to `after`."""
    level = TILE
    while after >> level:
        made = [
            {"level": level, "idx": place, "hash": _above(connection, level, place).hex()}
            for place in range(before >> level, after >> level)
        ]
        insert_rows(connection, log_nodes, made)
        level += TILE


def _above(connection: Connection, level: int, place: int) -> bytes:
    below = _nodes(connection, level=level - TILE, first=place << TILE, count=1 << TILE)
    return raised(below, TILE, 1)[0]
