"""What bytes a run used and left, by digest: what lineage is looked up by, without reading a record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbprod.digest import Digest, digest_bytes
from nbprod.record.ids import RunId

if TYPE_CHECKING:  # the ledger's events import this module
    from nbprod.record.run_record import RunRecord
    from nbprod.record.trace import Touched, Trace

__all__ = ["LEAVING", "MOST", "ROLES", "TOLD", "Use", "called_uses", "path_key", "uses_of"]

ROLES = ("made", "left", "given", "source", "step", "read", "module")
"""`made`: an artifact of the run. `left`: a file that it wrote outside its output folder. `given`: an artifact of
another run. `source`: its notebook file. `step`: the published step that it ran. `read`: a file or folder. `module`: a
source file that it imported."""

LEAVING = ("made", "left")
"""The roles of bytes that came out of a run; all others went in."""

TOLD = ("made", "given", "source", "step")
"""The roles that the record itself tells of; of the others, what the run touched."""

MOST = 4096
"""Uses that are kept of one run, in the order of `ROLES`: a run that read more is still found by its first ones."""

_EMPTY = digest_bytes(b"")
"""Empty files are equal everywhere, and connect nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A run used some bytes, or left them.

    Args:
        role: one of `ROLES`.
        digest: of the bytes; of a published step that of its manifest.
        name: an artifact's name, the notebook's path, the step's name; for files `path_key` of their path: what a
            run touched can be erased, this cannot.
        run: for `given` the run that made it, as was recorded.
    """

    role: str
    digest: Digest
    name: str
    run: RunId | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        told = {"role": self.role, "digest": str(self.digest), "name": self.name}
        return told if self.run is None else {**told, "run": str(self.run)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Use:
        """Read what `to_json` wrote.

        Raises:
            TypeError, KeyError, CallerError: it is none.
        """
        role, name, run = data["role"], data["name"], data.get("run")
        if not isinstance(role, str) or not isinstance(name, str):
            raise TypeError(f"expected a role and a name, got {role!r} and {name!r}")
        return cls(role=role, digest=Digest.parse(data["digest"]), name=name, run=None if run is None else RunId(run))


def path_key(path: str) -> str:
    """Return what stands for a file's path: 16 hex digits of its SHA-256.

    Args:
        path: as it stands in a trace (`path_text`).
    """
    return "#" + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def uses_of(record: RunRecord, trace: Trace | None) -> tuple[Use, ...]:
    """Return what bytes a run used and left, each once.

    Of a `cached` run only what it asked for: what its artifacts were made from, the run that answered tells.

    Args:
        record: the run's.
        trace: what it touched; None where that is not known.
    """
    return tuple(called_uses(record, trace))[:MOST]


def called_uses(record: RunRecord, trace: Trace | None) -> dict[Use, str]:
    """Return all that `uses_of` returns, each with what people call it: an artifact's name, a path."""
    found: dict[Use, str] = {}
    for use, called in _all(record, trace):
        if use.digest != _EMPTY:
            found.setdefault(use, called)
    return found


def _all(record: RunRecord, trace: Trace | None) -> Iterator[tuple[Use, str]]:
    request = record.request
    seen = trace if record.of is None else None
    if record.of is None:
        yield from ((Use(role="made", digest=each.digest, name=each.name), each.name) for each in record.artifacts)
    if seen is not None:
        yield from _files("left", seen.written)
    for entry in request.inputs:
        if entry.run is not None and entry.digest is not None:
            yield Use(role="given", digest=entry.digest, name=entry.path, run=entry.run), entry.path
    yield Use(role="source", digest=record.source_file.digest, name=request.notebook), request.notebook
    if request.published is not None:
        yield Use(role="step", digest=request.published, name=request.step), request.step
    reads = () if seen is None else seen.reads
    traced = {entry.digest for entry in reads}
    for entry in request.inputs:
        if entry.run is None and entry.digest is not None and entry.digest not in traced:
            yield Use(role="read", digest=entry.digest, name=path_key(entry.path)), entry.path
    given = {entry.digest for entry in request.inputs if entry.run is not None}
    yield from ((use, called) for use, called in _files("read", reads) if use.digest not in given)
    if seen is not None:
        yield from _files("module", seen.modules)


def _files(role: str, entries: Iterable[Touched]) -> Iterator[tuple[Use, str]]:
    for entry in entries:
        if entry.digest is not None:
            yield Use(role=role, digest=entry.digest, name=path_key(entry.path)), entry.path
