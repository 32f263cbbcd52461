"""A ledger made anew from what the store holds: records and statements of published versions prove events."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from nbprod.attest.bundle import BEGINNING, from_lines
from nbprod.digest import Digest, canonical, digest_bytes, read_canonical
from nbprod.errors import CallerError, IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger import Ledger
from nbprod.ledger.events import (
    SECOND_ENDING,
    BytesErased,
    Event,
    RunFinished,
    RunHeard,
    RunReproduced,
    RunReviewed,
    RunStarted,
    StepPublished,
    StepReviewed,
    from_json,
    to_json,
)
from nbprod.ledger.flags import MASKED
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.moment import moment_text
from nbprod.ledger.review_events import reviewed
from nbprod.ledger.transfer import take_over
from nbprod.ledger.values import read_json
from nbprod.record.publication import PUBLICATION_TYPE, VersionStatement
from nbprod.record.reproduced import REPRODUCTION_TYPE, Reproduced
from nbprod.record.review import Review
from nbprod.record.run_record import PREDICATE_TYPE, STATEMENT_TYPE, RunRecord
from nbprod.record.tombstone import ERASURE_TYPE, Tombstone
from nbprod.record.trace import Trace
from nbprod.record.uses import uses_of
from nbprod.runner.conclude import indexed
from nbprod.runner.unchanged import trace_of
from nbprod.store import Store, objects_beginning

__all__ = ["LOST", "Rebuilt", "rebuild"]

_PREFIX = f'{{"_type":"{STATEMENT_TYPE}",'.encode()
"""How every statement begins: RFC 8785 sorts keys."""

LOST = (
    "runs that had not ended",
    "names, tags and notes that were given or taken away after a run's start",
    "cancel requests, and what was heard of a run beside its record",
    "aliases of published steps",
    "the log's name, its places and its list of keys, so that what reviewers said counts no more",
    "process ids, working folders and fencing tokens",
)
"""What no record holds, in words."""


@dataclass(slots=True)
class Rebuilt:
    """What was made.

    Args:
        objects: how many were looked at.
        events: how many were appended.
        runs: how many runs they are about.
        versions: how many versions of steps.
        reviews: how many statements of reviewers: each names the log that was lost, and counts in no other.
        faults: objects that are corrupt or cannot be read, and bytes that are named and not there; for people.
        aside: what was proven twice or in part, and was not taken for what it says; for people.
    """

    objects: int = 0
    events: int = 0
    runs: int = 0
    versions: int = 0
    reviews: int = 0
    faults: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)


class _Proofs:
    """What records prove, kept on disk until all are found: there may be a million."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # of SQLite's own temporary files, gone when it is closed
        self._database.execute("CREATE TABLE runs (run TEXT, started TEXT, finished TEXT, record TEXT, a TEXT, b TEXT)")
        self._database.execute("CREATE TABLE steps (at TEXT, body TEXT)")
        self._database.execute("CREATE TABLE beside (run TEXT, at TEXT, body TEXT)")
        self._database.execute("CREATE TABLE reviews (run TEXT, at TEXT, body TEXT)")
        self._database.execute("CREATE TABLE erased (run TEXT, digest TEXT)")
        self._database.execute("CREATE TABLE lost (run TEXT, digest TEXT)")
        self._database.execute("CREATE TABLE signed (record TEXT PRIMARY KEY, attestation TEXT)")

    def close(self) -> None:
        """Forget all."""
        self._database.close()

    def add_run(self, record: RunRecord, digest: Digest, trace: Trace | None) -> None:
        """Keep what a record, and the trace that it names, prove."""
        moments = (moment_text(record.started), moment_text(record.finished))
        bodies = (_body(_started(record)), _body(_finished(record, digest, trace)))
        values = (str(record.run_id), *moments, str(digest), *bodies)
        self._database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", values)

    def add_version(self, at: str, event: StepPublished) -> None:
        """Keep what a statement proves, to be told at a moment."""
        self._database.execute("INSERT INTO steps VALUES (?, ?)", (at, _body(event)))

    def add_beside(self, event: BytesErased | RunReproduced) -> None:
        """Keep what a statement beside a run proves."""
        values = (str(event.run_id), moment_text(event.at), _body(event))
        self._database.execute("INSERT INTO beside VALUES (?, ?, ?)", values)

    def add_erasure(self, event: BytesErased) -> None:
        """Keep what a tombstone proves."""
        self.add_beside(event)
        objects = [(str(event.run_id), str(each.digest)) for each in event.objects if each.there]
        self._database.executemany("INSERT INTO erased VALUES (?, ?)", objects)

    def add_lost(self, record: RunRecord) -> None:
        """Keep that a record's executed notebook is not in the store."""
        values = (str(record.run_id), str(record.notebook.digest))
        self._database.execute("INSERT INTO lost VALUES (?, ?)", values)

    def add_signed(self, record: Digest, attestation: Digest) -> None:
        """Keep that envelopes sign a record; of several such objects, the first."""
        values = (str(record), str(attestation))
        self._database.execute("INSERT OR IGNORE INTO signed VALUES (?, ?)", values)

    def _signed(self, event: Event) -> Event:
        if not isinstance(event, RunFinished | StepPublished | BytesErased | RunReproduced):
            return event
        signed = event.record if isinstance(event, RunFinished) else event.statement
        query = "SELECT attestation FROM signed WHERE record = ?"
        found = self._database.execute(query, (str(signed),)).fetchone()
        return event if found is None else replace(event, attestation=Digest.parse(found[0]))

    def add_review(self, event: RunReviewed | StepReviewed) -> None:
        """Keep what a signed review proves."""
        run = str(event.run_id) if isinstance(event, RunReviewed) else ""
        self._database.execute("INSERT INTO reviews VALUES (?, ?, ?)", (run, moment_text(event.at), _body(event)))

    def lost(self) -> Iterator[str]:
        """Yield, in words, the executed notebooks that are gone without a tombstone."""
        query = "SELECT DISTINCT run, digest FROM lost EXCEPT SELECT run, digest FROM erased ORDER BY run"
        for run, digest in self._database.execute(query):
            yield f"the executed notebook {digest} of run {run} is not in the store"

    def events(self) -> Iterator[Event]:
        """Yield all events in the order of their times; of several endings of a run, the first is its verdict."""
        ranked = "SELECT *, row_number() OVER (PARTITION BY run ORDER BY finished, record) AS place FROM runs"
        query = f"""
            WITH ranked AS ({ranked})
            SELECT started AS at, 0 AS turn, run, a AS body, 1 AS place FROM ranked WHERE place = 1
            UNION ALL SELECT max(started, finished), 1, run, b, place FROM ranked
            UNION ALL SELECT at, 2, '', body, 1 FROM steps
            UNION ALL SELECT max(at, (SELECT max(started, finished) FROM ranked WHERE ranked.run = beside.run
                AND place = 1)), 3, run, body, 1 FROM beside WHERE run IN (SELECT run FROM runs)
            UNION ALL SELECT max(at, (SELECT max(started, finished) FROM ranked WHERE ranked.run = reviews.run
                AND place = 1)), 4, run, body, 1 FROM reviews WHERE run IN (SELECT run FROM runs)
            UNION ALL SELECT max(at, (SELECT max(at) FROM steps)), 5, '', body, 1 FROM reviews WHERE run = ''
                AND EXISTS (SELECT 1 FROM steps)
            ORDER BY at, turn, run, place
        """  # noqa: S608  no values
        for _, _, _, body, place in self._database.execute(query):
            event = self._signed(from_json(read_json(body)))
            yield _late(event) if place > 1 and isinstance(event, RunFinished) else event


def rebuild(ledger: Ledger, store: Store, looked: Callable[[int], None] = lambda _: None) -> Rebuilt:
    """Append to an empty ledger the events that the store's records and statements prove, in the order of their times.

    Objects that are corrupt are named and skipped. Where a run has two records, the one that ended first is its
    verdict, and the other stands beside it, as it would have (law 2).

    Args:
        ledger: takes the events.
        store: holds the records.
        looked: hears how many objects were looked at.

    Raises:
        CallerError: the ledger is not empty, or keeps its events nowhere.
        NotFound: there is nothing in the store.
        StoreUnavailable, LedgerUnavailable: they cannot be used; the ledger may hold a part.
    """
    if next(ledger.events(), None) is not None:
        raise CallerError(
            f"the ledger {ledger.url} cannot be made anew",
            expected="an empty ledger",
            found="one that holds events",
            hint="Name another ledger in NBPROD_LEDGER, or move this one away.",
        )
    made = Rebuilt()
    with closing(_Proofs()) as proofs:
        for step in _by_step(_read(store, proofs, made, looked)).values():
            _add_versions(step, proofs, store, made)
        made.faults += proofs.lost()
        if not made.objects:
            raise NotFound(
                f"the store {store.url} is empty", expected="the store that the runs' records are in", found="no object"
            )
        take_over(ledger, _numbered(proofs, made))
    return made


def _read(
    store: Store, proofs: _Proofs, made: Rebuilt, looked: Callable[[int], None]
) -> Iterator[tuple[Digest, VersionStatement]]:
    """Keep what records prove; yield the statements of versions."""

    def count() -> None:
        made.objects += 1
        looked(made.objects)

    for look in objects_beginning(store, (_PREFIX, BEGINNING), count):
        if look.data is None:
            made.faults.append(look.fault or "")
            continue
        try:
            if look.data.startswith(BEGINNING):
                _add_envelopes(look.data, look.digest, proofs)
                continue
            kind = _kind(look.data)
            if kind.startswith(REPRODUCTION_TYPE.rpartition("/")[0]):
                _add_reproduction(Reproduced.from_bytes(look.data), look.digest, proofs)
            elif kind.startswith(PREDICATE_TYPE.rpartition("/")[0]):
                _add_run(RunRecord.from_bytes(look.data), look.digest, proofs, store)
            elif kind.startswith(ERASURE_TYPE.rpartition("/")[0]):
                _add_erasure(BytesErased.of(Tombstone.from_bytes(look.data), look.digest), proofs, store, made)
            elif kind.startswith(PUBLICATION_TYPE.rpartition("/")[0]):
                yield look.digest, VersionStatement.from_bytes(look.data)
        except (IntegrityError, UnsupportedVersion, CallerError) as error:
            made.faults.append(f"{look.digest} cannot be read: {error}")


def _add_envelopes(data: bytes, digest: Digest, proofs: _Proofs) -> None:
    """Keep what a bundle of envelopes signs: a record or statement that is kept by itself, or a review."""
    payload = from_lines(data)[0].payload
    said = Review.from_bytes(payload)
    if said is None:
        proofs.add_signed(digest_bytes(payload), digest)
    else:
        proofs.add_review(reviewed(said, digest))


def _add_run(record: RunRecord, digest: Digest, proofs: _Proofs, store: Store) -> None:
    proofs.add_run(record, digest, _trace(record, store))
    if not store.has(record.notebook.digest):
        proofs.add_lost(record)


def _trace(record: RunRecord, store: Store) -> Trace | None:
    """Return what a run touched; None where that is not there, or cannot be read: the record says all the rest."""
    try:
        return trace_of(record, store)
    except (NotFound, IntegrityError, UnsupportedVersion):
        return None


def _add_erasure(event: BytesErased, proofs: _Proofs, store: Store, made: Rebuilt) -> None:
    """Keep a tombstone's event, unless nothing is gone: whoever wrote it was stopped, or it was put again."""
    if all(store.has(each.digest) for each in event.objects):
        made.aside.append(f"{event.statement} says that bytes of run {event.run_id} were erased: they are all there")
    else:
        proofs.add_erasure(event)


def _add_reproduction(stated: Reproduced, digest: Digest, proofs: _Proofs) -> None:
    """Keep what is told of both runs; one of them may be of another ledger, and has no record here."""
    for run_id in (stated.first, stated.second):
        proofs.add_beside(RunReproduced.of(stated, run_id, digest, None))


def _kind(data: bytes) -> str:
    """Return what a statement is about; empty for what only begins like one."""
    try:
        return str(read_canonical(data)["predicateType"])
    except (ValueError, KeyError, TypeError):
        return ""


_Stated = list[tuple[Digest, VersionStatement]]


def _by_step(stated: Iterator[tuple[Digest, VersionStatement]]) -> dict[str, _Stated]:
    steps: dict[str, _Stated] = {}
    for digest, statement in stated:
        steps.setdefault(statement.step, []).append((digest, statement))
    return steps


def _add_versions(stated: _Stated, proofs: _Proofs, store: Store, made: Rebuilt) -> None:
    """Keep a step's versions, from the first on and without a gap: the ledger takes no others."""
    at, latest = "", 0
    for digest, each in sorted(_published(stated), key=lambda found: (found[1].version, found[1].at, found[0])):
        label = f"{each.step}@{each.version}"
        if each.version <= latest:
            made.aside.append(f"{digest} states another {label}: it was published later than the one taken")
        elif each.version > latest + 1:
            made.aside.append(f"{label} was left out: nothing states {each.step}@{latest + 1}")
        else:
            latest, at = each.version, max(at, moment_text(each.at))
            proofs.add_version(at, _published_event(each, digest))
            if not store.has(each.manifest):
                made.faults.append(f"the manifest {each.manifest} of {label} is not in the store")


def _published(stated: _Stated) -> Iterator[tuple[Digest, VersionStatement]]:
    """Leave out what lost a race for its number and was published under the next: its statement stayed in the store."""
    last: dict[object, int] = {}
    for _, each in stated:
        same = (each.manifest, each.at, each.by, each.note)
        last[same] = max(each.version, last.get(same, 0))
    return (
        (digest, each) for digest, each in stated if last[each.manifest, each.at, each.by, each.note] == each.version
    )


def _numbered(proofs: _Proofs, made: Rebuilt) -> Iterator[StoredEvent]:
    for event in proofs.events():
        made.events += 1
        if isinstance(event, RunStarted):
            made.runs += 1
        elif isinstance(event, StepPublished):
            made.versions += 1
        elif isinstance(event, RunReviewed | StepReviewed):
            made.reviews += 1
        elif isinstance(event, RunHeard):
            made.aside.append(f"run {event.run_id} has a second record, which stands beside its verdict")
        yield StoredEvent(made.events, event)


def _body(event: Event) -> str:
    return canonical(to_json(event)).decode()


def _started(record: RunRecord) -> RunStarted:
    request, labels = record.request, record.labels
    return RunStarted(
        at=record.started,
        run_id=record.run_id,
        step=request.step,
        notebook=request.notebook,
        request_digest=request.digest,
        parameters=request.parameters,
        user=record.user,
        host=record.host,
        runner_pid=0,
        lease_seconds=0.0,
        name=labels.name,
        tags=(*labels.tags, MASKED) if record.masked else labels.tags,  # the flag stands in no record, but its reason
        note=labels.note,
        folder="",
        occasion=labels.occasion,
        retry_of=labels.retry_of,
        flow_run=labels.flow_run,
        reproduces=labels.reproduces,
    )


def _finished(record: RunRecord, digest: Digest, trace: Trace | None) -> RunFinished:
    return RunFinished(
        at=record.finished,
        run_id=record.run_id,
        status=record.verdict.status,
        reason=record.verdict.reason,
        seconds=record.seconds,
        record=digest,
        notebook=record.notebook.digest,
        scraps=indexed(record.scraps),
        of=record.of,
        uses=uses_of(record, trace),
    )


def _late(event: RunFinished) -> RunHeard:
    told = {"status": str(event.status), "reason": event.reason, "record": str(event.record)}
    told |= {} if event.attestation is None else {"attestation": str(event.attestation)}
    return RunHeard(at=event.at, run_id=event.run_id, what=SECOND_ENDING, data=told)


def _published_event(stated: VersionStatement, digest: Digest) -> StepPublished:
    return StepPublished(
        at=stated.at,
        step=stated.step,
        number=stated.version,
        manifest=stated.manifest,
        by=stated.by,
        note=stated.note,
        statement=digest,
    )
