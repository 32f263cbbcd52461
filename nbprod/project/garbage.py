"""Removing from the store what nothing needs (docs/decisions/0017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from nbprod.digest import Digest
from nbprod.errors import CallerError, IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger import RunQuery
from nbprod.ledger.events import BytesErased
from nbprod.ledger.query import Order
from nbprod.project.copies import forget_copies, forget_run, local_runs
from nbprod.project.erasure import Cleared, Concerned, bury, clear, graves
from nbprod.project.home import Home
from nbprod.project.pending import put_before
from nbprod.project.reachable import reached
from nbprod.project.retention import due
from nbprod.project.settings import Settings
from nbprod.publish import Manifest, Sign
from nbprod.record.ids import RunId
from nbprod.record.parts import NOTEBOOK
from nbprod.record.run_record import RunRecord

__all__ = ["LEAST", "Garbage", "collect"]

LEAST = timedelta(days=1)
"""Age below which nothing is removed: a run puts its bytes before any event names them (law 3)."""

_LONG = timedelta(days=36_525)
"""A century: no object is as old, and every clock can go back so far."""

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
        retired: the runs whose bytes are kept no longer, by the rules of the settings, and those bytes.
        erased: what became of these bytes, and of those whose erasure was not finished.
    """

    removed: int
    bytes: int
    needed: int
    young: int
    swept: int
    until: datetime
    retired: tuple[Concerned, ...] = ()
    erased: Cleared = field(default_factory=Cleared)


def collect(
    home: Home,
    *,
    now: datetime,
    older_than: timedelta,
    dry_run: bool = False,
    foreign: bool = False,
    settings: Settings | None = None,
    by: str = "nbprod gc",
    sign: Sign | None = None,
) -> Garbage:
    """Erase what is kept no longer, then remove what nothing needs and nobody has put for a while.

    Args:
        home: whose ledger and store; no other ledger may use the same store.
        now: aware.
        older_than: how long ago an object must have been put last; a day or more. While a run is under way, all that
            was put since shortly before its start stays as well.
        dry_run: only say what would be removed.
        foreign: remove also records of runs that the ledger does not know, and what only they need.
        settings: say for how long the bytes of runs are kept; None: for ever.
        by: who stands on the tombstones of what is kept no longer.
        sign: signs these tombstones; None: nobody does.

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
    if not dry_run:
        home.ledger.log.sequence()
    until = _until(home, now, older_than)
    retired, seq = due(home, settings or Settings(), now=now)
    erased = Cleared()
    if not dry_run:
        if retired:
            erased = clear(home, bury(home, retired, by=by, at=now, sign=sign), now=now, after=seq)
        _finish(home, erased, now)
    found = Garbage(removed=0, bytes=0, needed=0, young=0, swept=0, until=until, retired=tuple(retired), erased=erased)
    unneeded, found = _look(home, found)
    if not foreign:
        _refuse_foreign(home, unneeded)
    return _remove(home, unneeded, found, dry_run=dry_run)


def _look(home: Home, found: Garbage) -> tuple[list[tuple[Digest, int]], Garbage]:
    """Return what nothing needs and is old enough, with sizes in bytes; and how much else there is."""
    needed = young = 0
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
        if written > found.until:
            young += 1
        else:
            unneeded.append((digest, bytes_))
    return unneeded, replace(found, needed=needed, young=young)


def _remove(home: Home, unneeded: list[tuple[Digest, int]], found: Garbage, *, dry_run: bool) -> Garbage:
    removed, size, young = 0, 0, found.young
    for digest, bytes_ in unneeded:
        if dry_run or home.store.remove(digest, unless_after=found.until):
            removed, size = removed + 1, size + bytes_
            if not dry_run:
                home.forget_view(digest)
        else:
            young += 1
    swept = 0 if dry_run else home.store.sweep()
    return replace(found, removed=removed, bytes=size, young=young, swept=swept)


def _finish(home: Home, erased: Cleared, now: datetime) -> None:
    """Remove what has its tombstones and lies there still: somebody was killed, or a run was under way.

    Copies on this machine of what was erased from another one go as well.
    """
    local = local_runs(home)
    gone: set[bytes] = set()  # 32 bytes each, as in Reached
    closed: dict[RunId, Digest] = {}
    for stored in home.ledger.events():
        if isinstance(event := stored.event, BytesErased):
            gone.update(bytes.fromhex(each.digest.hex) for each in event.objects)
            if str(event.run_id) in local:
                closed.update((event.run_id, each.digest) for each in event.objects if each.name == NOTEBOOK)
    if not gone:
        return
    there = {digest for digest in home.store.digests() if bytes.fromhex(digest.hex) in gone}
    more = clear(home, graves(home, there - {*erased.waiting, *erased.kept}), now=now)
    there -= more.removed.keys()
    erased.removed |= more.removed
    erased.waiting += more.waiting
    erased.under_way = tuple(sorted({*erased.under_way, *more.under_way}))
    forget_copies(home, lambda digest: bytes.fromhex(digest.hex) in gone and digest not in there)
    for run_id, digest in closed.items():
        if digest not in there:
            forget_run(home, run_id)


def _until(home: Home, now: datetime, older_than: timedelta) -> datetime:
    """Return the moment before which an object must have been put to be removed.

    A run under way has put bytes that no event names yet, and will name them; what was there by then, and fresh, kept
    its time.
    """
    until = now - min(older_than, _LONG)
    earliest = RunQuery(running=True, order=Order(descending=False), limit=1)
    return min(until, put_before(home.ledger.runs(earliest)) or until)


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
