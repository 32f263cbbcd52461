"""A run as its users hold it: a picklable handle on the record and on where its bytes are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.digest import Digest, digest_file
from nbprod.errors import NotFound, RunNotSuccessful
from nbprod.ledger.erasures import erasures
from nbprod.ledger.events import BytesErased, RunFinished
from nbprod.parameters import untag
from nbprod.project.home import Home
from nbprod.record.ids import RunId
from nbprod.record.run_record import Artifact, RunRecord
from nbprod.record.status import Status
from nbprod.record.trace import Trace
from nbprod.runner import Upstream
from nbprod.runner.started import RunFolder
from nbprod.scraps import Scrap

if TYPE_CHECKING:
    from nbprod.diff import Comparison, Tolerance
    from nbprod.project.project import Project
    from nbprod.project.reproduce import How, Reproduction
    from nbprod.project.walk import Lineage

__all__ = ["ArtifactFile", "Artifacts", "Run", "Scraps"]


@dataclass(frozen=True, slots=True)
class ArtifactFile(os.PathLike[str]):
    """An artifact of a run; hand it to a parameter of another run, and the edge between them is recorded."""

    upstream: Upstream
    home: Home

    @property
    def name(self) -> str:
        """Its name in the run."""
        return self.upstream.name

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        return self.upstream.digest

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.upstream.size

    def path(self) -> Path:
        """Return a local read-only file with its bytes, checked against the digest."""
        return self.home.view(self.digest, self.name, self.upstream.run)

    def __fspath__(self) -> str:
        """Return `path()` as text, so that `open(artifact)` works."""
        return str(self.path())


class Artifacts(Mapping[str, ArtifactFile]):
    """A run's artifacts by name."""

    def __init__(self, record: RunRecord, home: Home) -> None:
        self._record = record
        self._home = home

    def __getitem__(self, name: str) -> ArtifactFile:
        """Return an artifact.

        Raises:
            NotFound: the run left no such file.
        """
        found = self._record.artifact(name)
        if found is None:
            there = ", ".join(self) or "none"
            raise NotFound(f"run {self._record.run_id} left no artifact {name!r}", expected=f"one of: {there}")
        return self._file(found)

    def _file(self, found: Artifact) -> ArtifactFile:
        upstream = Upstream(run=self._record.run_id, name=found.name, digest=found.digest, size=found.size)
        return ArtifactFile(upstream, self._home)

    def __repr__(self) -> str:
        """Return the names and sizes."""
        files = ", ".join(f"{entry.name!r}: {entry.size:,} bytes" for entry in self._record.artifacts)
        return f"<Artifacts {{{files}}}>"

    def __contains__(self, name: object) -> bool:
        """Return whether the run left such a file."""
        return any(entry.name == name for entry in self._record.artifacts)

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return (entry.name for entry in self._record.artifacts)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._record.artifacts)


class Scraps(Mapping[str, Any]):
    """A run's scraps by name, as Python values."""

    def __init__(self, record: RunRecord, home: Home) -> None:
        self._entries = {entry.name: entry for entry in record.scraps}
        self._run_id = record.run_id
        self._home = home

    def scrap(self, name: str) -> Scrap:
        """Return a scrap with all that is known of it.

        Raises:
            NotFound: the run glued no such scrap.
        """
        if name not in self._entries:
            there = ", ".join(self._entries) or "none"
            raise NotFound(f"run {self._run_id} glued no scrap {name!r}", expected=f"one of: {there}")
        return self._entries[name].scrap(lambda digest: self._home.read(digest, self._run_id))

    def __getitem__(self, name: str) -> Any:
        """Return a scrap's value.

        Raises:
            NotFound: the run glued no such scrap.
        """
        return self.scrap(name).value()

    def __repr__(self) -> str:
        """Return the names and types."""
        scraps = ", ".join(f"{entry.name!r}: {entry.type}" for entry in self._entries.values())
        return f"<Scraps {{{scraps}}}>"

    def __contains__(self, name: object) -> bool:
        """Return whether the run glued such a scrap."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._entries)


@dataclass(frozen=True, slots=True, weakref_slot=True)  # Prefect follows results by weak reference
class Run:
    """A finished run."""

    record: RunRecord
    home: Home

    @property
    def id(self) -> RunId:
        """The run's id."""
        return self.record.run_id

    @property
    def step(self) -> str:
        """The step's name."""
        return self.record.request.step

    @property
    def status(self) -> Status:
        """How it ended."""
        return self.record.verdict.status

    @property
    def reason(self) -> str:
        """Why it ended so."""
        return self.record.verdict.reason

    @property
    def started(self) -> datetime:
        """When it started; aware, UTC."""
        return self.record.started

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.record.seconds

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the notebook had, those of upstream artifacts as ArtifactFile."""
        return {name: self._value(value) for name, value in self.record.request.parameters.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict) and value.get("$nbprod") == "artifact":
            inner = value["value"]
            size = next((i.size for i in self.record.request.inputs if str(i.digest) == inner["digest"]), None)
            upstream = Upstream(
                run=RunId(inner["run"]), name=inner["name"], digest=Digest.parse(inner["digest"]), size=size or 0
            )
            return ArtifactFile(upstream, self.home)
        return untag(value)

    @property
    def trace(self) -> Trace | None:
        """What it touched; None for a record of before that was looked at.

        Raises:
            Erased: the trace was erased.
            IntegrityError: the trace is not in the store, or not what it was.
        """
        kept = self.record.trace
        return None if kept is None else Trace.from_bytes(self.home.read(kept.digest, self.id))

    @property
    def erased(self) -> tuple[BytesErased, ...]:
        """What of it was erased, when, by whom and why; none for most runs."""
        return erasures(self.home.ledger, self.id)

    @property
    def attestation(self) -> Digest | None:
        """The digest of its signed statements; None for a run that is not signed."""
        ends = (stored.event for stored in self.home.ledger.events(self.id) if isinstance(stored.event, RunFinished))
        return next((event.attestation for event in ends), None)

    @property
    def scraps(self) -> Scraps:
        """What it glued."""
        return Scraps(self.record, self.home)

    @property
    def artifacts(self) -> Artifacts:
        """What it wrote."""
        return Artifacts(self.record, self.home)

    @property
    def notebook(self) -> Path:
        """A local file with the executed notebook, checked; from the store where that in the run's folder won't do."""
        path, record = self._left, self.record
        return path if self._is_recorded(path) else self.home.view(record.notebook.digest, path.name, record.run_id)

    @property
    def changed_notebook(self) -> Path | None:
        """The executed notebook in the run's folder if it is not as the record has it; None if it is, or is gone."""
        path = self._left
        return path if os.path.lexists(path) and not self._is_recorded(path) else None

    @property
    def _left(self) -> Path:
        return RunFolder(self.home.folder / "runs" / str(self.id)).executed(self.step)

    def _is_recorded(self, path: Path) -> bool:
        kept = self.record.notebook
        try:  # a pipe in its place is never opened
            return path.is_file() and path.stat().st_size == kept.size and digest_file(path)[0] == kept.digest
        except OSError:
            return False

    def diff(self, other: Run, *, tolerance: Tolerance | None = None) -> Comparison:
        """Compare a later run with this one.

        Args:
            other: the later run.
            tolerance: for the numbers of scraps; 1e-9 of the value for floats, none for whole numbers by default.

        Raises:
            IntegrityError: bytes of one are not there, or not what its record says.
        """
        from nbprod.project.diff import compare_runs  # noqa: PLC0415 - rarely needed

        return compare_runs(self, other, tolerance=tolerance)

    def reproduce(self, how: How | None = None, *, project: Project | None = None) -> Reproduction:
        """Execute it again from what is kept of it, and compare.

        Args:
            how: what is to be done where something is not as it was.
            project: takes the new run; the one that this run is of by default.

        Raises:
            NotReproducible: something that it needs is not to be had; the error lists all of it.
            IntegrityError: it was altered, or bytes of it are not what they were.
        """
        from nbprod.project.origin import origin_of  # noqa: PLC0415 - rarely needed
        from nbprod.project.project import Project  # noqa: PLC0415
        from nbprod.project.reproduce import reproduce  # noqa: PLC0415

        project = Project.find(self.home.root) if project is None else project
        return reproduce(project, origin_of(project, self), how)

    def lineage(self, *, up: bool = True, depth: int | None = None) -> Lineage:
        """Return what made this run, or what it made (see `nbprod.project.lineage.lineage_of`).

        Args:
            up: towards what made it, or towards what it made.
            depth: how many runs away to go; None: as far as it goes.
        """
        from nbprod.project.lineage import lineage_of  # noqa: PLC0415 - no run needs it

        return lineage_of(self.home, str(self.id), up=up, depth=depth)

    def __bool__(self) -> bool:
        """Return whether its results may be used."""
        return self.status.good

    def raise_for_status(self) -> Run:
        """Return the run itself if it is good.

        Raises:
            RunNotSuccessful: it is not.
        """
        if not self:
            raise RunNotSuccessful(
                f"step {self.step} did not succeed (run {self.id})",
                run_id=str(self.id),
                status=str(self.status),
                reason=self.reason,
                hint=f"See `nbprod show {self.id.short}` or open the executed notebook: `nbprod open {self.id.short}`.",
            )
        return self

    def __repr__(self) -> str:
        """Return the run in one line."""
        return f"<Run {self.step} …{self.id.short} {self.status}>"
