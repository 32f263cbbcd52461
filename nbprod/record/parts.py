"""What a run left or used that can be erased: each with what to call it, its digest and its size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from nbprod.digest import Digest
from nbprod.record.kept import KeptInput
from nbprod.record.run_record import RunRecord

__all__ = ["INPUT", "NOTEBOOK", "SOURCE", "Part", "PartKind", "parts_of"]

NOTEBOOK, SOURCE = "executed notebook", "source notebook"
"""What these parts are called, of every run."""

INPUT = "input "
"""How the names of kept inputs begin."""


class PartKind(StrEnum):
    """What a part is, as far as erasing goes."""

    OUTPUT = "output"
    """What the cells put out: the executed notebook, the journal, scraps that are kept as objects of their own."""
    ARTIFACT = "artifact"
    TRACE = "trace"
    """The list of what the run touched: names of files and hosts."""
    SOURCE = "source"
    """The notebook as it was read, with the outputs that were saved in it."""
    INPUT = "input"
    """What it read, as far as that is kept with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes in the store that belong to a run.

    Args:
        kind: what it is.
        name: what people call it: `executed notebook`, `artifact model.bin` …
        digest: of the bytes.
        size: in bytes.
    """

    kind: PartKind
    name: str
    digest: Digest
    size: int


def parts_of(record: RunRecord, inputs: Iterable[KeptInput] = ()) -> Iterator[Part]:
    """Yield what can be erased of a run, without what is empty: those bytes are the same for every run.

    The record itself, the environment key and what is recorded of the machine are no parts: they stay.

    Args:
        record: the run's.
        inputs: what is kept of its inputs.
    """
    return (part for part in _all(record, inputs) if part.size)


def _all(record: RunRecord, inputs: Iterable[KeptInput]) -> Iterator[Part]:
    output = PartKind.OUTPUT
    yield Part(kind=output, name=NOTEBOOK, digest=record.notebook.digest, size=record.notebook.size)
    yield Part(kind=output, name="journal", digest=record.journal.digest, size=record.journal.size)
    for scrap in record.scraps:
        if scrap.ref is not None:
            yield Part(kind=output, name=f"scrap {scrap.name}", digest=scrap.ref, size=scrap.size)
    for each in record.artifacts:
        yield Part(kind=PartKind.ARTIFACT, name=f"artifact {each.name}", digest=each.digest, size=each.size)
    for kept in inputs:  # before the trace, which alone tells of them
        what = f"the list of the files of {kept.path}" if kept.folder else kept.path
        yield Part(kind=PartKind.INPUT, name=f"{INPUT}{what}", digest=kept.digest, size=kept.size or 0)
    if record.trace is not None:
        yield Part(kind=PartKind.TRACE, name="what it touched", digest=record.trace.digest, size=record.trace.size)
    source = record.source_file
    yield Part(kind=PartKind.SOURCE, name=SOURCE, digest=source.digest, size=source.size)
