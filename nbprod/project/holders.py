"""Which runs hold some objects, which were handed them, and what else needs them: read from all records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nbprod.digest import Digest, digests_in
from nbprod.ledger.events import BytesErased, RunFinished, StepPublished
from nbprod.ledger.named import records_of
from nbprod.project.home import Home
from nbprod.project.kept import kept_of
from nbprod.record.ids import RunId
from nbprod.record.kept import KeptInput
from nbprod.record.parts import Part, parts_of
from nbprod.record.run_record import RunRecord

__all__ = ["Found", "search"]


@dataclass(slots=True)
class Found:
    """What events and records say of the objects that were looked for.

    Args:
        seq: the last event that was read.
        parts: of each run, those of its parts that are such objects.
        steps: the step of each run that is named here.
        handed: of each run, such objects that it had as inputs.
        needed: what else needs an object, in words: it may not be erased.
        erased: of each run, such objects as its tombstones name.
    """

    seq: int = 0
    parts: dict[RunId, list[Part]] = field(default_factory=dict)
    steps: dict[RunId, str] = field(default_factory=dict)
    handed: dict[RunId, set[Digest]] = field(default_factory=dict)
    needed: dict[Digest, str] = field(default_factory=dict)
    erased: dict[RunId, set[Digest]] = field(default_factory=dict)

    def holders(self, digest: Digest) -> Iterator[RunId]:
        """Yield the runs that have the object, and no tombstone for it."""
        for run_id, parts in self.parts.items():
            if any(part.digest == digest for part in parts) and digest not in self.erased.get(run_id, ()):
                yield run_id


def search(home: Home, sought: frozenset[Digest], *, after: int = 0) -> Found:
    """Look for objects in the ledger's events, and in the records and manifests that they name.

    Args:
        home: whose ledger and store.
        sought: the objects.
        after: only in events with a greater number.

    Raises:
        IntegrityError: a record, trace or manifest is missing or spoilt, so that it cannot be known what it names.
        StoreUnavailable: the store cannot be read, or a record waits on another machine.
    """
    found = Found(seq=after)
    wanted = {digest.hex for digest in sought}
    for stored in home.ledger.events(after=after):
        event, found.seq = stored.event, stored.seq
        for run_id, record in records_of(event):
            if record in sought:
                found.needed[record] = f"it is the record of run {run_id}"
            data = home.read(record, run_id)
            made = RunRecord.from_bytes(data)
            kept = kept_of(home, made)
            if not wanted.isdisjoint((*digests_in(data), *(each.digest.hex for each in kept))):
                _add(found, made, kept, sought)
        if isinstance(event, RunFinished) and event.attestation in sought:
            found.needed[event.attestation] = f"it holds the signature of run {event.run_id}"
        if isinstance(event, BytesErased):
            named = {each.digest for each in event.objects} & sought
            found.erased.setdefault(event.run_id, set()).update(named)
            if event.statement in sought:
                found.needed[event.statement] = f"it is a tombstone of run {event.run_id}"
        elif isinstance(event, StepPublished):
            label = f"{event.step}@{event.number}"
            texts = (*digests_in(home.read(event.manifest)), event.manifest.hex)
            statement = () if event.statement is None else (event.statement.hex,)
            for named_hex in wanted.intersection((*texts, *statement)):
                found.needed[Digest(named_hex)] = f"the published step {label} needs it"
    return found


def _add(found: Found, record: RunRecord, kept: Iterable[KeptInput], sought: frozenset[Digest]) -> None:
    run_id, request = record.run_id, record.request
    found.steps[run_id] = request.step
    known = found.parts.setdefault(run_id, [])
    known += [part for part in parts_of(record, kept) if part.digest in sought and part not in known]
    handed = {entry.digest for entry in request.inputs if entry.digest in sought and entry.digest is not None}
    if handed:
        found.handed.setdefault(run_id, set()).update(handed)
    for digest in (request.environment, record.environment_facts):
        if digest in sought and digest is not None:
            found.needed[digest] = f"it says in which environment run {run_id} was executed"
