"""Whether a run's bytes are what its record says, and its record what its events say (step 3)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace

from nbprod.digest import Digest
from nbprod.errors import DigestMismatch, IntegrityError, NbprodError, NotFound, UnsupportedVersion
from nbprod.ledger.events import BytesErased, RunEvent, RunFinished, RunStarted
from nbprod.ledger.index import fold
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.named import records_of
from nbprod.ledger.query import RunRow
from nbprod.record.kept import kept_inputs
from nbprod.record.run_record import RunRecord
from nbprod.record.tombstone import Tombstone
from nbprod.record.trace import Trace
from nbprod.record.uses import TOLD, called_uses
from nbprod.store import Store
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.stored import lost

__all__ = [
    "STEP",
    "Object",
    "check_events",
    "check_objects",
    "check_second_endings",
    "check_tombstones",
    "erased_of",
    "read_object",
]

STEP = 3
_BYTES, _EVENTS, _ERASED = "bytes", "events", "erasure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object of the store that a record names.

    Args:
        what: for people.
        digest: of its bytes.
        size: in bytes; None where the record does not say.
        is_input: whether the run read it, and the trace says that it is kept.
    """

    what: str
    digest: Digest
    size: int | None = None
    is_input: bool = False


def objects_of(record: RunRecord) -> Iterator[Object]:
    """Yield all objects that a record names as kept."""
    yield Object(what="the executed notebook", digest=record.notebook.digest, size=record.notebook.size)
    yield Object(what="the source notebook", digest=record.source_file.digest, size=record.source_file.size)
    yield Object(what="the journal", digest=record.journal.digest, size=record.journal.size)
    for artifact in record.artifacts:
        yield Object(what=f"artifact {artifact.name}", digest=artifact.digest, size=artifact.size)
    for scrap in record.scraps:
        if scrap.ref is not None:
            yield Object(what=f"scrap {scrap.name}", digest=scrap.ref, size=scrap.size)
    if record.trace is not None:
        yield Object(what="the list of what was touched", digest=record.trace.digest, size=record.trace.size)
    yield Object(what="the environment key", digest=record.request.environment)
    if record.environment_facts is not None:
        yield Object(what="the environment facts", digest=record.environment_facts)
    if record.request.published is not None:
        yield Object(what="the published step's manifest", digest=record.request.published)


def check_objects(
    record: RunRecord,
    store: Store,
    gone: dict[Digest, BytesErased],
    waits: str | None,
    left_out: Container[Digest] = (),
) -> list[Check]:
    """Read and hash every object that a record names, and every input that is kept.

    Args:
        record: the run's.
        store: has them.
        gone: those that were erased, with the event that says so.
        waits: the host whose spool has some of them; None: they all went to the store.
        left_out: inputs that need not be there.
    """
    checks: list[Check] = []
    faulty: set[Digest] = set()
    read = 0
    try:
        for each in _named(record, store, faulty):
            if each.is_input and each.digest in left_out and not store.has(each.digest):
                continue
            found = [_gone(each, check, gone.get(each.digest), waits) for check in read_object(each, store)]
            faulty.update([each.digest] if found else [])
            checks += found
            read += not found
    except IntegrityError as error:  # it has its digest, and is no trace, or no list of a folder
        checks.append(_altered(_BYTES, f"which inputs are kept cannot be told: {error}"))
    return [Check.passed(STEP, _BYTES, f"{read} objects were read, and are what the record says"), *checks]


def _named(record: RunRecord, store: Store, faulty: Container[Digest]) -> Iterator[Object]:
    """Yield all objects that a record names, and then the inputs that its trace says are kept, each once.

    Args:
        record: the run's.
        store: has its trace.
        faulty: hears meanwhile of what is not there, or not what it was.

    Raises:
        IntegrityError: what has the digest of a trace, or of a folder's list, is none.
    """
    known: set[Digest] = set()
    for each in objects_of(record):
        known.add(each.digest)
        yield each
    if record.trace is None or record.trace.digest in faulty:
        return
    trace = Trace.from_bytes(store.get(record.trace.digest))
    for kept in kept_inputs(trace, lambda digest: _listing(store, digest)):
        if kept.digest not in known:
            known.add(kept.digest)
            what = f"the list of the files of {kept.path}" if kept.folder else f"input {kept.path}"
            yield Object(what=what, digest=kept.digest, size=kept.size, is_input=True)


def _listing(store: Store, digest: Digest) -> bytes | None:
    try:
        return store.get(digest)
    except (NotFound, DigestMismatch):  # which the list's own check tells
        return None


def _gone(each: Object, found: Check, stone: BytesErased | None, waits: str | None) -> Check:
    """Return what it means that an object is not there: it may have been erased, or be on its way."""
    if found.means is not Conclusion.INCOMPLETE:
        return found
    if stone is not None:
        return Check.beside(STEP, _BYTES, f"{each.what} was erased by {stone.by}, because: {stone.why}")
    if waits is not None:
        return Check.open(STEP, _BYTES, f"{each.what} may wait in the spool of {waits}: run `nbprod recover` there")
    return found


def check_tombstones(stones: Sequence[BytesErased], store: Store) -> Iterator[Check]:
    """Compare what the ledger says of erasures with their statements in the store."""
    for stone in stones:
        try:
            told = Tombstone.from_bytes(store.get(stone.statement))
        except NotFound:
            yield lost(STEP, _ERASED, store, stone.statement, "a tombstone's statement")
        except (IntegrityError, UnsupportedVersion) as error:
            yield _altered(_ERASED, str(error))
        else:
            if replace(BytesErased.of(told, stone.statement, stone.attestation), unknown=stone.unknown) != stone:
                yield _altered(_ERASED, "a tombstone's statement says something else than the ledger")


def check_events(
    events: Sequence[StoredEvent], record: RunRecord, row: RunRow | None, *, before: int
) -> Iterator[Check]:
    """Compare a run's events with its record, and the index with its events.

    Args:
        events: of the run, in order.
        record: that the last of them names.
        row: the run in the index.
        before: how many of the events were there when the row was read; those behind them may have come later.
    """
    faults: list[str] = []
    for stored in events:
        event = stored.event
        if isinstance(event, RunStarted):
            faults += _differ(event, record)
        elif isinstance(event, RunFinished):
            faults += _differ_at_end(event, record)
    faults += _index_faults(events, row, before)
    yield from (_altered(_EVENTS, fault) for fault in faults)
    if not faults:
        yield Check.passed(STEP, _EVENTS, f"{len(events)} events say the same as the record and the index")


def _index_faults(events: Sequence[StoredEvent], row: RunRow | None, before: int) -> list[str]:
    wanted = None if row is None else replace(row, lease_until=None)
    made: RunRow | None = None
    fits = False
    try:
        for count, stored in enumerate(events, 1):
            assert isinstance(stored.event, RunEvent)  # noqa: S101 - a run has no others
            made = fold(made, stored.event)
            fits = fits or (count >= before and made == wanted)
    except NbprodError as error:
        return [f"the events do not follow from each other: {error}"]
    return [] if fits else ["the index says something else than the events: see `nbprod ledger check`"]


def check_second_endings(events: Sequence[StoredEvent], store: Store) -> Iterator[Check]:
    """See that the records of second endings are there, which stand beside the verdict."""
    for stored in events:
        if not isinstance(stored.event, RunFinished):
            for _, digest in records_of(stored.event):
                yield from read_object(Object(what="the record of a second ending", digest=digest), store)


def read_object(each: Object, store: Store) -> Iterator[Check]:
    """Yield what is wrong with an object's bytes, if anything is."""
    try:
        store.check(each.digest)
        size = store.size(each.digest)
    except NotFound:
        yield lost(STEP, _BYTES, store, each.digest, each.what)
    except IntegrityError as error:
        yield _altered(_BYTES, f"{each.what}: {error.what}")
    else:
        if each.size not in (None, size):
            yield _altered(_BYTES, f"{each.what} has {size} bytes, and the record says {each.size}")


def _differ(event: RunStarted, record: RunRecord) -> Iterator[str]:
    request = record.request
    pairs = {
        "run": (event.run_id, record.run_id),
        "step": (event.step, request.step),
        "notebook": (event.notebook, request.notebook),
        "request": (event.request_digest, request.digest),
        "parameters": (dict(event.parameters), dict(request.parameters)),
        "user": (event.user, record.user),
        "start": (event.at, record.started),
    }
    yield from (f"the start names another {name} than the record" for name, (one, two) in pairs.items() if one != two)


def _differ_at_end(event: RunFinished, record: RunRecord) -> Iterator[str]:
    pairs = {
        "run": (event.run_id, record.run_id),
        "status": (event.status, record.verdict.status),
        "reason": (event.reason, record.verdict.reason),
        "duration": (event.seconds, record.seconds),
        "end": (event.at, record.finished),
        "executed notebook": (event.notebook, record.notebook.digest),
        "answering run": (event.of, record.of),
    }
    yield from (f"the end names another {name} than the record" for name, (one, two) in pairs.items() if one != two)
    known = {scrap.name: scrap.payload["data"] for scrap in record.scraps if scrap.payload is not None}
    if any(name not in known or known[name] != value for name, value in event.scraps.items()):
        yield "the end names another scrap than the record"
    told = {use for use in event.uses if use.role in TOLD}
    if not told <= {*called_uses(record, None)}:
        yield "the end names another artifact or input than the record"


def erased_of(stones: Sequence[BytesErased]) -> dict[Digest, BytesErased]:
    """Return what was erased and was there before, with the event that says so."""
    return {each.digest: stone for stone in stones for each in stone.objects if each.there}


def _altered(name: str, told: str) -> Check:
    return Check.failed(STEP, name, told, Conclusion.ALTERED)
