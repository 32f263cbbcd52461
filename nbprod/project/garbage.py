"""Removing from the store what nothing needs (docs/decisions/0017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from nbprod.digest import Digest
from nbprod.errors import CallerError, IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger import RunQuery
from nbprod.ledger.query import Order
from nbprod.project.home import Home
from nbprod.project.reachable import reached
from nbprod.publish import Manifest
from nbprod.record.run_record import RunRecord
from nbprod.store.store import FRESH

__all__ = ["LEAST", "Garbage", "collect"]

LEAST = timedelta(days=1)
"""Age below which nothing is removed: a run puts its bytes before any event names them (law 3)."""

_LONG = timedelta(days=36_525)
"""A century: no object is as old, and every clock can go back so far."""

_PREPARING = timedelta(hours=1)
"""Time that a run may have put bytes for before its start stands in the ledger."""

_LARGEST_RECORD = 64 << 20
"""Bytes above which an object is not looked into for a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What was removed, or would be.

    Args:
        removed: objects.
        bytes: how large they were together.
        needed: objects that something needs.
        young: objects that nothing needs yet, and that are too young.
        swept: temporary files of dead writers that were removed.
        until: only what was put before this moment was removed; aware, UTC.
    """

    removed: int
    bytes: int
    needed: int
    young: int
    swept: int
    until: datetime


def collect(
    home: Home, *, now: datetime, older_than: timedelta, dry_run: bool = False, foreign: bool = False
) -> Garbage:
    """Remove what nothing needs and nobody has put for a while.

    Args:
        home: whose ledger and store; no other ledger may use the same store.
        now: aware.
        older_than: how long ago an object must have been put last; a day or more. While a run is under way, all that
            was put since shortly before its start stays as well.
        dry_run: only say what would be removed.
        foreign: remove also records of runs that the ledger does not know, and what only they need.

    Raises:
        CallerError: less than a day, or another ledger seems to use the same store.
        IntegrityError: a record is missing or spoilt, so that it cannot be known what it needs. Nothing was removed.
        StoreUnavailable: the store cannot be read or written.
    """
    if older_than < LEAST:
        raise CallerError(
            "nothing younger than a day is removed",
            expected="1d or more",
            found=str(older_than),
            hint="Runs put their bytes before anything names them.",
        )
    until = _until(home, now, older_than)
    needed = young = removed = size = 0
    unneeded: list[tuple[Digest, int]] = []
    known = reached(home)
    for digest in home.store.digests():
        if digest in known:
            needed += 1
            continue
        try:
            written, bytes_ = home.store.written(digest), home.store.size(digest)
        except NotFound:  # somebody else collects, too
            continue
        if written > until:
            young += 1
        else:
            unneeded.append((digest, bytes_))
    if not foreign:
        _refuse_foreign(home, unneeded)
    for digest, bytes_ in unneeded:
        if dry_run or home.store.remove(digest, unless_after=until):
            removed, size = removed + 1, size + bytes_
            if not dry_run:
                home.forget_view(digest)
        else:
            young += 1
    swept = 0 if dry_run else home.store.sweep()
    return Garbage(removed=removed, bytes=size, needed=needed, young=young, swept=swept, until=until)


def _until(home: Home, now: datetime, older_than: timedelta) -> datetime:
    """Return the moment before which an object must have been put to be removed.

    A run under way has put bytes that no event names yet, and will name them; what was there by then, and fresh, kept
    its time.
    """
    until = now - min(older_than, _LONG)
    earliest = RunQuery(running=True, order=Order(descending=False), limit=1)
    for row in home.ledger.runs(earliest):
        until = min(until, row.started - FRESH - _PREPARING)
    return until


def _refuse_foreign(home: Home, unneeded: list[tuple[Digest, int]]) -> None:
    found = next(_foreign(home, unneeded), None)
    if found is not None:
        raise CallerError(
            f"another ledger seems to use the store {home.store.url}: nothing was removed",
            expected="a store that this ledger alone uses",
            found=found,
            hint="Give each project a store of its own. If that ledger is gone for good, say --foreign",
        )


def _foreign(home: Home, unneeded: list[tuple[Digest, int]]) -> Iterator[str]:
    """Yield, in words, records and manifests that another ledger must have named."""
    steps = {each.step for each in home.ledger.published()}
    for digest, size in unneeded:
        if size > _LARGEST_RECORD:
            continue
        try:
            data = home.store.get(digest)
        except (NotFound, IntegrityError):  # gone, or set aside
            continue
        if data.startswith(b'{"_type":"https://in-toto.io/'):
            yield from _of_other_run(home, data)
        elif data.startswith(b'{"environment":"sha256:'):
            yield from _of_other_step(data, steps)


def _of_other_run(home: Home, data: bytes) -> Iterator[str]:
    try:
        run_id = RunRecord.from_bytes(data).run_id
    except UnsupportedVersion:
        yield "a record of a newer nbprod"
        return
    except IntegrityError:  # a file of somebody's that begins so
        return
    try:
        home.ledger.run(run_id)
    except NotFound:
        yield f"the record of run {run_id}, which is not in this ledger"


def _of_other_step(data: bytes, steps: set[str]) -> Iterator[str]:
    try:
        step = Manifest.from_bytes(data).step
    except UnsupportedVersion:
        yield "a step that a newer nbprod published"
        return
    except IntegrityError:
        return
    if step not in steps:
        yield f"a published version of {step}, of which this ledger knows none"
