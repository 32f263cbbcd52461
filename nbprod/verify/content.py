"""Whether a run's bytes are what its record says, and its record what its events say (step 3)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger.events import BytesErased, RunFinished, RunStarted
from nbprod.ledger.ledger import Dossier, StoredEvent
from nbprod.ledger.named import records_of
from nbprod.record.counted import counted
from nbprod.record.kept import kept_inputs
from nbprod.record.run_record import RunRecord
from nbprod.record.tombstone import Tombstone
from nbprod.record.trace import Trace
from nbprod.record.uses import TOLD, called_uses
from nbprod.store import Store
from nbprod.verify.objects import BYTES, STEP, Object, Objects
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.stored import lost

__all__ = ["STEP", "check_events", "check_objects", "check_second_endings", "check_tombstones", "erased_of"]

_EVENTS, _ERASED = "events", "erasure"


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
    objects: Objects | None,
    gone: dict[Digest, BytesErased],
    waits: str | None,
    left_out: Container[Digest] = (),
) -> list[Check]:
    """Read and hash every object that a record names, and every input that is kept.

    Args:
        record: the run's.
        objects: reads them; None: they are not to be read.
        gone: those that were erased, with the event that says so.
        waits: the host whose spool has some of them; None: they all went to the store.
        left_out: inputs that need not be there.
    """
    named = list(objects_of(record))
    if objects is None:
        return [Check.beside(STEP, BYTES, f"{len(named)} objects were not looked at, as was asked for")]
    untold: list[Check] = []
    try:
        known = {each.digest for each in named}
        kept = [each for each in _inputs(record, objects) if each.digest not in known]
        named += [each for each in kept if each.digest not in left_out or objects.has(each.digest)]
    except IntegrityError as error:  # it has its digest, and is no trace, or no list of a folder
        untold.append(_altered(BYTES, f"which inputs are kept cannot be told: {error}"))
    except UnsupportedVersion as error:
        untold.append(Check.open(STEP, BYTES, f"which inputs are kept cannot be told: {error}"))
    checks = [_gone(each, found, gone.get(each.digest), waits) for each, found in objects.read(named)]
    read = len(named) - len(checks)
    return [Check.passed(STEP, BYTES, f"{_read(read)} what the record says"), *checks, *untold]


def _inputs(record: RunRecord, objects: Objects) -> list[Object]:
    """Return the inputs that a record's trace says are kept, each once.

    Raises:
        IntegrityError: what has the digest of a trace, or of a folder's list, is none.
        UnsupportedVersion: a newer nbprod wrote the trace.
    """
    data = None if record.trace is None else objects.get(record.trace.digest, record.trace.size)
    if data is None:  # which the trace's own check tells
        return []
    found: dict[Digest, Object] = {}
    for kept in kept_inputs(Trace.from_bytes(data), objects.get):
        what = f"the list of the files of {kept.path}" if kept.folder else f"input {kept.path}"
        found.setdefault(kept.digest, Object(what=what, digest=kept.digest, size=kept.size))
    return list(found.values())


def _read(count: int) -> str:
    return f"{counted(count, 'object')} {'was read, and is' if count == 1 else 'were read, and are'}"


def _gone(each: Object, found: Check, stone: BytesErased | None, waits: str | None) -> Check:
    """Return what it means that an object is not there: it may have been erased, or be on its way."""
    if found.means is not Conclusion.INCOMPLETE:
        return found
    if stone is not None:
        return Check.beside(STEP, BYTES, f"{each.what} was erased by {stone.by}, because: {stone.why}")
    if waits is not None:
        return Check.open(
            STEP, BYTES, f"{each.what} may wait in the spool of {waits}: `nbprod recover` there delivers it"
        )
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


def check_events(dossier: Dossier, record: RunRecord) -> Iterator[Check]:
    """Compare a run's events with its record, and the index with its events.

    Args:
        dossier: what the ledger has of the run.
        record: that its end names.
    """
    faults: list[str] = []
    for stored in dossier.events:
        event = stored.event
        if isinstance(event, RunStarted):
            faults += _differ(event, record)
        elif isinstance(event, RunFinished):
            faults += _differ_at_end(event, record)
    faults += dossier.differs
    yield from (_altered(_EVENTS, fault) for fault in faults)
    if not faults:
        count = len(dossier.events)
        agree = f"{counted(count, 'event')} {'says' if count == 1 else 'say'}"
        yield Check.passed(STEP, _EVENTS, f"{agree} the same as the record and the index")


def check_second_endings(events: Sequence[StoredEvent], objects: Objects) -> Iterator[Check]:
    """See that the records of second endings are there, which stand beside the verdict."""
    for stored in events:
        if not isinstance(stored.event, RunFinished):
            for _, digest in records_of(stored.event):
                named = [Object(what="the record of a second ending", digest=digest)]
                yield from (found for _, found in objects.read(named))


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
