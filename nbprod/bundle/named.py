"""How the objects of a run are called in a bundle: who writes one names them so, and who verifies one looks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nbprod.bundle.writer import plain_name
from nbprod.digest import Digest, read_canonical
from nbprod.errors import IntegrityError
from nbprod.ledger.events import BytesErased, Event, RunFinished, RunReproduced, RunReviewed
from nbprod.ledger.named import records_of
from nbprod.record.ids import RunId
from nbprod.record.kept import KeptInput
from nbprod.record.run_record import RunRecord

__all__ = [
    "PAGE",
    "Named",
    "member_name",
    "named_in_events",
    "named_in_record",
    "named_inputs",
    "named_objects",
    "same_name",
]

PAGE = "notebook.html"
"""The page that is made of an executed notebook; nobody signs it."""
_REPEATED = re.compile(r"~\d+(\.[A-Za-z0-9_-]*)?\Z")


@dataclass(frozen=True, slots=True)
class Named:
    """An object that belongs to a run.

    Args:
        name: how it is called below the run's folder.
        digest: of its bytes.
        what: what it is, for people.
    """

    name: str
    digest: Digest
    what: str


def named_objects(events: Sequence[Event], record: RunRecord, read: Callable[[Digest], bytes]) -> Iterator[Named]:
    """Yield what a run's events and its record name as kept, but for what it read.

    Args:
        events: the run's.
        record: the run's.
        read: returns the bytes of an object.
    """
    yield from named_in_events(events)
    yield from named_in_record(record, read)


def named_in_events(events: Sequence[Event]) -> Iterator[Named]:
    """Yield what a run's events name as kept."""
    for event in events:
        for _, digest in records_of(event):
            first = isinstance(event, RunFinished)
            name, what = ("record", "the record") if first else ("second-record", "the record of a second ending")
            yield Named(f"{name}.json", digest, what)
        if isinstance(event, RunFinished) and event.attestation is not None:
            yield Named("envelopes.jsonl", event.attestation, "what is signed: the record, and its provenance")
        if isinstance(event, BytesErased):
            yield Named("tombstone.json", event.statement, "a tombstone")
            if event.attestation is not None:
                yield Named("statements/erasure.jsonl", event.attestation, f"the tombstone, signed by {event.by}")
        if isinstance(event, RunReproduced):
            yield Named("reproduced.json", event.statement, "what is stated of a reproduction")
            if event.attestation is not None:
                yield Named("statements/reproduction.jsonl", event.attestation, "the signature of a reproduction")
        if isinstance(event, RunReviewed):
            said = event.review
            yield Named(f"statements/{said.name}.jsonl", event.attestation, f"the {said.name} of {said.by}, signed")


def named_in_record(record: RunRecord, read: Callable[[Digest], bytes]) -> Iterator[Named]:
    """Yield what a record names as kept (arguments as for `named_objects`)."""
    yield Named("notebook.ipynb", record.notebook.digest, "the executed notebook")
    yield Named("source.ipynb", record.source_file.digest, "the source notebook")
    yield Named("journal.jsonl", record.journal.digest, "the journal")
    if record.trace is not None:
        yield Named("trace.json", record.trace.digest, "the list of what was touched")
    yield Named("environment.json", record.request.environment, "the environment key")
    if record.environment_facts is not None:
        yield Named("environment-facts.json", record.environment_facts, "the environment facts")
    for artifact in record.artifacts:
        yield Named(f"artifacts/{artifact.name}", artifact.digest, f"artifact {artifact.name}")
    for scrap in record.scraps:
        if scrap.ref is not None:
            yield Named(f"scraps/{scrap.name}", scrap.ref, f"scrap {scrap.name}")
    if (manifest := record.request.published) is not None:
        yield Named("manifest.json", manifest, "the published step's manifest")
        for path, digest in _files(read(manifest)):
            yield Named(f"step/{path}", digest, f"{path} of the published step")


def _files(manifest: bytes) -> Iterator[tuple[str, Digest]]:
    """Yield the files of a published step (see `nbprod.publish.manifest`)."""
    try:
        told = read_canonical(manifest)
        yield from ((str(each["path"]), Digest.parse(each["digest"])) for each in (told["notebook"], *told["modules"]))
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError("this is not a published step", found=str(error)) from error


def named_inputs(record: RunRecord, kept: Iterable[KeptInput]) -> Iterator[Named]:
    """Yield what is kept of what a run read, and the artifacts that it was handed.

    Args:
        record: the run's.
        kept: what its trace says.
    """
    for each in kept:
        path = f"{each.path}/the list of its files" if each.folder else each.path
        yield Named(f"inputs/{path}", each.digest, f"input {path}")
    for entry in record.request.inputs:
        if entry.run is not None and entry.digest is not None:
            path = f"{entry.run.short}/{entry.path}"
            yield Named(f"inputs/{path}", entry.digest, f"input {path}")


def member_name(run_id: RunId, name: str) -> str:
    """Return where an object stands in a bundle, before names that several would have are told apart."""
    return f"runs/{run_id}/{name}"


def same_name(member: str, wanted: str) -> bool:
    """Say whether a member is called as an object is to be, or as the second or third of that name."""
    plain = plain_name(wanted, set())
    return member == plain or _REPEATED.sub(lambda found: found[1] or "", member) == plain
