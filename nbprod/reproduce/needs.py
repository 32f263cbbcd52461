"""What has to be there for a run to be executed again: what its record and its trace name, by digest."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from nbprod.digest import Digest
from nbprod.record.ids import RunId
from nbprod.record.request import Input
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Touched, Trace

__all__ = ["Need", "folder_of", "is_inside", "needs_of", "unpinned_of"]

_ARTIFACT = "nbprod:"
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One file or folder that a run read.

    Args:
        kind: `file`, `folder`, `root` (declared in the settings), `artifact` (of another run) or `module`.
        path: where the run found it: relative to the project's root where it lies below it, else absolute, or leading
            out of it with `..`; of an artifact its name.
        digest: of what the run read; None where nobody pinned it.
        size: bytes; None if unknown.
        name: the parameter that names it, or a part of one (`files[0]`); empty for what no parameter names.
        run: the run that left an artifact.
        folder: whether it is a folder.
    """

    kind: str
    path: str
    digest: Digest | None
    size: int | None = None
    name: str = ""
    run: RunId | None = None
    folder: bool = False

    @property
    def inside(self) -> bool:
        """Whether it lies below the project's root."""
        return self.kind != "artifact" and is_inside(self.path)

    def __str__(self) -> str:
        """Return it in words."""
        if self.kind == "artifact":
            return f"artifact {self.path} of run {self.run and self.run.short}, parameter {self.name}"
        what = "declared root" if self.kind == "root" else self.kind
        return f"{what} {self.path}{f', parameter {self.name}' if self.name else ''}"


def folder_of(record: RunRecord) -> str:
    """Return the kernel's working directory as the record has it; for older records, the notebook's own folder."""
    if record.cwd is not None:
        return record.cwd
    notebook = record.request.notebook
    known = "://" not in notebook and notebook.endswith(".ipynb") and is_inside(notebook)
    return str(PurePosixPath(notebook).parent) if known else "."


def needs_of(record: RunRecord, trace: Trace) -> tuple[Need, ...]:
    """Return all that was pinned of what a run read: what its parameters name, then what else it was seen to read."""
    folder = folder_of(record)
    named = [_named(entry, folder, trace.reads) for entry in record.request.inputs if entry.digest is not None]
    covered = {need.path for need in named}
    folders = tuple(f"{need.path}/" for need in named if need.folder)
    found = list(named)
    for kind, entries in (("module", trace.modules), ("file", trace.reads)):
        for entry in entries:
            wanted = entry.digest is not None or (is_inside(entry.path) and not entry.note.startswith("it is no"))
            known = entry.path in covered or entry.path.startswith((*folders, _ARTIFACT))
            if wanted and not known and "artifact" not in entry.seen:
                covered.add(entry.path)
                found.append(Need(kind=kind, path=entry.path, digest=entry.digest, size=entry.size))
    return tuple(found)


def unpinned_of(trace: Trace) -> Iterator[str]:
    """Yield, in words, what the run depended on that nobody pinned, so that it may be another today."""
    if not trace.on:
        yield f"what the run touched was not observed: {trace.why_off}"
        return
    outside = [each.path for each in (*trace.reads, *trace.modules) if each.digest is None and not is_inside(each.path)]
    if outside:
        yield f"it read what lies outside the project and was not pinned: {_some(outside)}"
    if trace.hosts:
        yield f"it contacted {_some([str(each) for each in trace.hosts])}"


def _named(entry: Input, folder: str, reads: Sequence[Touched]) -> Need:
    path = entry.path
    if entry.kind != "artifact":
        path = _seen_as(entry, reads) if posixpath.isabs(path) else posixpath.normpath(posixpath.join(folder, path))
    return Need(
        kind=entry.kind,
        path=path,
        digest=entry.digest,
        size=entry.size,
        name=entry.name,
        run=entry.run,
        folder=entry.kind == "folder" or any(each.folder and each.digest == entry.digest for each in reads),
    )


def _seen_as(entry: Input, reads: Sequence[Touched]) -> str:
    """Return where a file with an absolute path lies in the project, if it was seen there."""
    for each in reads:
        if each.digest == entry.digest and is_inside(each.path) and entry.path.endswith(f"/{each.path}"):
            return each.path
    return entry.path


def is_inside(path: str) -> bool:
    """Return whether a recorded path lies below the project's root."""
    return not posixpath.isabs(path) and ".." not in path.split("/") and not path.startswith(_ARTIFACT)


def _some(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    rest = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
    return f"{', '.join(distinct[:_NAMED])}{rest}"
