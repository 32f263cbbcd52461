"""Erasing bytes: tombstones first, then the bytes and their copies (docs/decisions/0018)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nbprod.digest import Digest
from nbprod.errors import NotFound, StoreUnavailable
from nbprod.ledger import RunQuery, RunRow
from nbprod.ledger.events import BytesErased
from nbprod.project.copies import forget_run
from nbprod.project.holders import search
from nbprod.project.home import Home
from nbprod.project.pending import PREPARING, put_before
from nbprod.publish import Sign
from nbprod.record.ids import RunId
from nbprod.record.parts import NOTEBOOK, SOURCE, Part
from nbprod.record.tombstone import ErasedObject, Tombstone
from nbprod.runner.spooled import where_bytes_wait
from nbprod.store.store import FRESH

__all__ = ["Cleared", "Concerned", "Grave", "bury", "clear", "graves"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """A run that loses bytes.

    Args:
        run_id: which.
        step: its step.
        parts: what it loses.
        why: the reason, which stands on its tombstone.
    """

    run_id: RunId
    step: str
    parts: tuple[Part, ...]
    why: str


@dataclass(slots=True)
class Grave:
    """An object that was erased: of which runs, and under what names."""

    runs: set[RunId] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Cleared:
    """What became of the bytes.

    Args:
        removed: those that are gone now, with their sizes in bytes.
        absent: those that were gone before.
        waiting: those that a run under way, or one that is being prepared, may be about to name: they go later.
        under_way: such runs: they must have ended.
        until: the moment before which sources that wait do not go, with or without runs under way; aware, UTC.
        kept: those that other runs have, which hold no tombstone for them; with these runs.
        needed: those that something else has come to need; with what that is, in words.
    """

    removed: dict[Digest, int] = field(default_factory=dict)
    absent: list[Digest] = field(default_factory=list)
    waiting: list[Digest] = field(default_factory=list)
    under_way: tuple[RunId, ...] = ()
    until: datetime | None = None
    kept: dict[Digest, tuple[RunId, ...]] = field(default_factory=dict)
    needed: dict[Digest, str] = field(default_factory=dict)


def bury(
    home: Home, concerned: Iterable[Concerned], *, by: str, at: datetime, sign: Sign | None = None
) -> dict[Digest, Grave]:
    """Write a tombstone for each run: the statement into the store, then the event into the ledger.

    Args:
        home: whose ledger and store.
        concerned: the runs.
        by: who erases.
        at: aware.
        sign: signs a tombstone's statement and returns the digest of the envelope; None: nobody does.

    Returns:
        What may be removed now, see `clear`.
    """
    dug: dict[Digest, Grave] = {}
    for run in concerned:
        elsewhere = where_bytes_wait(home.ledger, run.run_id) is not None
        objects = tuple(
            ErasedObject(
                name=part.name,
                digest=part.digest,
                size=part.size,
                there=elsewhere or home.store.has(part.digest),
            )
            for part in run.parts
        )
        tombstone = Tombstone(run_id=run.run_id, at=at, by=by, why=run.why, objects=objects)
        told = tombstone.to_bytes()
        event = BytesErased.of(tombstone, home.store.put(told), None if sign is None else sign(told))
        home.ledger.append(event)
        _dig(dug, event)
    return dug


def graves(home: Home, of: Collection[Digest]) -> dict[Digest, Grave]:
    """Return what the ledger tells of the erasure of some objects."""
    dug: dict[Digest, Grave] = {}
    if of:
        for stored in home.ledger.events():
            if isinstance(stored.event, BytesErased):
                _dig(dug, stored.event, of)
    return dug


def _dig(dug: dict[Digest, Grave], event: BytesErased, of: Collection[Digest] | None = None) -> None:
    for each in event.objects:
        if of is not None and each.digest not in of:
            continue
        grave = dug.setdefault(each.digest, Grave())
        grave.runs.add(event.run_id)
        grave.names.add(each.name)


def clear(home: Home, dug: Mapping[Digest, Grave], *, now: datetime, after: int = 0) -> Cleared:
    """Remove bytes that have their tombstones, and the copies of them on this machine; to be repeated at will.

    What another run has meanwhile put again, and finished with, is its own and stays. What a run under way may have put
    again stays until it has ended (law 3).

    Args:
        home: whose ledger and store.
        dug: which bytes, and the runs whose tombstones name them.
        now: aware.
        after: the event up to which it is known that no other runs have them.

    Raises:
        StoreUnavailable: the store cannot be read or written; what is left goes at the next call.
    """
    done = Cleared()
    if not dug:
        return done
    known = search(home, frozenset(dug), after=after)
    under_way: set[RunId] = set()
    for digest, grave in dug.items():
        # Those under way first, and then those that have ended: else one could end in between and be overlooked.
        rows = list(home.ledger.runs(RunQuery(running=True)))
        since = search(home, frozenset([digest]), after=known.seq)
        others = {*known.holders(digest), *since.holders(digest)} - grave.runs
        if others:
            done.kept[digest] = tuple(sorted(others))
        elif needed := {**known.needed, **since.needed}.get(digest):
            done.needed[digest] = needed
        else:
            size = _remove(home, digest, grave, rows, now)
            if size is None:
                done.waiting.append(digest)
                under_way.update(row.run_id for row in rows)
                done.until = max(filter(None, (done.until, _goes_at(home, digest, grave, now))), default=None)
                continue
            home.store.discard(digest)
            _forget(home, digest, grave)
            if size < 0:
                done.absent.append(digest)
            else:
                done.removed[digest] = size
    done.under_way = tuple(sorted(under_way))
    return done


def _remove(home: Home, digest: Digest, grave: Grave, rows: Sequence[RunRow], now: datetime) -> int | None:
    """Remove an object; return its size in bytes, -1 where there was none, None where it must wait."""
    if not home.store.has(digest):
        return -1
    # A run that is answered by an earlier one names its bytes without putting them again.
    asked = {home.ledger.run(run_id).request_digest for run_id in grave.runs} if rows else set()
    if any(row.request_digest in asked for row in rows):
        return None
    before = put_before(rows)
    if SOURCE in grave.names:  # a run puts its source before its start stands in the ledger
        before = min(before or now, now - FRESH - PREPARING)
    try:
        size = home.store.size(digest)
    except NotFound:
        return -1
    if home.store.remove(digest, unless_after=before):
        return size
    return None if home.store.has(digest) else -1


def _goes_at(home: Home, digest: Digest, grave: Grave, now: datetime) -> datetime | None:
    """Return from when on a source that waits may go; None for what is no source, or waits for runs alone."""
    if SOURCE not in grave.names:
        return None
    try:
        goes = home.store.written(digest) + FRESH + PREPARING
    except (NotFound, StoreUnavailable):  # gone meanwhile, or kept by what tells no times
        return None
    return goes if goes > now else None


def _forget(home: Home, digest: Digest, grave: Grave) -> None:
    """Remove the copies of an erased object on this machine."""
    home.forget_view(digest)
    if NOTEBOOK in grave.names:
        for run_id in grave.runs:
            forget_run(home, run_id)
