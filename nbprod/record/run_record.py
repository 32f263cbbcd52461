"""The record: what nbprod states about a finished run, in the form of an in-toto Statement v1.

Statement: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. Its subjects are the executed
notebook, the artifacts and the verdict; the predicate holds the rest. Stored as RFC 8785 canonical bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nbprod.digest import Digest, Json, canonical, digest_json, read_canonical
from nbprod.errors import CallerError, IntegrityError, UnsupportedVersion
from nbprod.record.ids import RunId
from nbprod.record.labels import Labels
from nbprod.record.launch import Launch
from nbprod.record.masked import Masked
from nbprod.record.request import RunRequest
from nbprod.record.verdict import Verdict
from nbprod.scraps import ScrapEntry

__all__ = ["PREDICATE_TYPE", "Artifact", "Kept", "LockFile", "RunRecord"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://nbprod.dev/attestation/run/v1"
_PREDICATE_FAMILY = "https://nbprod.dev/attestation/run/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Bytes in the store: digest and size in bytes."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that the run left.

    Args:
        name: path below the run's output folder, with `/`.
        digest: of its bytes.
        size: bytes.
    """

    name: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """A file beside the project that says which packages it is to have.

    Args:
        name: as it lies at the project's root, `uv.lock`.
        digest: of its bytes.
    """

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class RunRecord:
    """The statement of a finished run.

    Args:
        run_id: which run.
        request: what was asked for.
        verdict: what was concluded.
        notebook: the executed notebook.
        source_file: the notebook file as it was read.
        journal: every event of the run.
        scraps: what was glued.
        artifacts: what was written.
        environment_facts: digest of what is recorded about the machine but is not in the key.
        git: commit, branch and dirty flag of the notebook's repository; None outside one.
        user: who ran it.
        host: where.
        started: aware, UTC.
        finished: aware, UTC.
        seconds: from start to end, monotonic.
        timezone: IANA name or offset of the host's time zone, to show local times.
        of: for a `cached` run, the run that answered.
        notes: what a reader should know (an input that was unpinned, output that was cut).
        trace: what it touched (see `nbprod.record.trace`); None in records of before there was one.
        labels: what it was called at the start, and what it was for.
        cwd: where its kernel ran, as `path_text` has it: relative to the project's root where it lies below it; None in
            records of before it was told, and where its name may hold a secret.
        launch: how its kernel came into being; None if none did, or in records of before it was told.
        masked: which secrets stood in what it put out, and were masked.
        locks: the lock files at the project's root when it began. They say what was meant to be installed; what was,
            says the environment key.
        container: the `kind` and `image` of the container that it ran in, as far as it is known; None outside one.
        extra: fields of the predicate that this version does not know; kept and written back.
    """

    run_id: RunId
    request: RunRequest
    verdict: Verdict
    notebook: Kept
    source_file: Kept
    journal: Kept
    scraps: tuple[ScrapEntry, ...]
    artifacts: tuple[Artifact, ...]
    environment_facts: Digest | None
    git: Mapping[str, Json] | None
    user: str
    host: str
    started: datetime
    finished: datetime
    seconds: float
    timezone: str
    notes: tuple[str, ...] = ()
    of: RunId | None = None
    trace: Kept | None = None
    labels: Labels = field(default_factory=Labels)
    cwd: str | None = None
    launch: Launch | None = None
    masked: tuple[Masked, ...] = ()
    locks: tuple[LockFile, ...] = ()
    container: Mapping[str, Json] | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    def artifact(self, name: str) -> Artifact | None:
        """Return an artifact by name, None if there is none."""
        return next((entry for entry in self.artifacts if entry.name == name), None)

    def to_statement(self) -> dict[str, Any]:
        """Return the in-toto Statement as JSON."""
        verdict = self.verdict.to_json()
        stem = self.request.step
        subjects = [
            _subject(f"{stem}.ipynb", self.notebook.digest),
            *(_subject(f"artifacts/{entry.name}", entry.digest) for entry in self.artifacts),
            _subject("verdict", digest_json(verdict)),
        ]
        predicate = {
            **self.extra,
            "run": str(self.run_id),
            "request": self.request.to_json(),
            "verdict": verdict,
            "notebook": _kept(self.notebook),
            "source_file": _kept(self.source_file),
            "journal": _kept(self.journal),
            "scraps": [scrap.to_json() for scrap in self.scraps],
            "artifacts": [
                {"name": entry.name, "digest": str(entry.digest), "size": entry.size} for entry in self.artifacts
            ],
            "environment_facts": None if self.environment_facts is None else str(self.environment_facts),
            "git": None if self.git is None else dict(self.git),
            "user": self.user,
            "host": self.host,
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat(),
            "seconds": round(self.seconds, 6),
            "timezone": self.timezone,
            "notes": list(self.notes),
            **({} if self.trace is None else {"trace": _kept(self.trace)}),
            **({"labels": labels} if (labels := self.labels.to_json()) else {}),
            **({} if self.cwd is None else {"cwd": self.cwd}),
            **({} if self.launch is None else {"launch": self.launch.to_json()}),
            **({"masked": [entry.to_json() for entry in self.masked]} if self.masked else {}),
            **(
                {"locks": [{"name": lock.name, "digest": str(lock.digest)} for lock in self.locks]}
                if self.locks
                else {}
            ),
            **({} if self.container is None else {"container": dict(self.container)}),
        }
        if self.of is not None:
            predicate["of"] = str(self.of)
        return {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": PREDICATE_TYPE, "predicate": predicate}

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored: RFC 8785."""
        return canonical(self.to_statement())

    @classmethod
    def from_bytes(cls, data: bytes) -> RunRecord:
        """Read a stored record.

        Raises:
            UnsupportedVersion: it was written by a newer nbprod.
            IntegrityError: it is no record.
        """
        try:
            statement = read_canonical(data)
            kind = str(statement["predicateType"])
            if kind != PREDICATE_TYPE and kind.startswith(_PREDICATE_FAMILY):
                raise UnsupportedVersion(
                    "this record was written by a newer nbprod", expected=PREDICATE_TYPE, found=kind, hint="Upgrade."
                )
            if statement["_type"] != STATEMENT_TYPE or kind != PREDICATE_TYPE:
                raise IntegrityError("this is not a run's record", expected=PREDICATE_TYPE, found=kind)
            return cls._from_predicate(statement["predicate"])
        except (ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
            raise IntegrityError("this is not a run's record", found=f"{type(error).__name__}: {error}") from error

    @classmethod
    def _from_predicate(cls, predicate: Mapping[str, Any]) -> RunRecord:
        facts = predicate["environment_facts"]
        trace = predicate.get("trace")
        return cls(
            run_id=RunId(predicate["run"]),
            request=RunRequest.from_json(predicate["request"]),
            verdict=Verdict.from_json(predicate["verdict"]),
            notebook=_read_kept(predicate["notebook"]),
            source_file=_read_kept(predicate["source_file"]),
            journal=_read_kept(predicate["journal"]),
            scraps=tuple(ScrapEntry.from_json(scrap) for scrap in predicate["scraps"]),
            artifacts=tuple(
                Artifact(name=entry["name"], digest=Digest.parse(entry["digest"]), size=entry["size"])
                for entry in predicate["artifacts"]
            ),
            environment_facts=None if facts is None else Digest.parse(facts),
            git=predicate["git"],
            user=predicate["user"],
            host=predicate["host"],
            started=datetime.fromisoformat(predicate["started"]),
            finished=datetime.fromisoformat(predicate["finished"]),
            seconds=float(predicate["seconds"]),
            timezone=predicate["timezone"],
            notes=tuple(predicate["notes"]),
            of=None if predicate.get("of") is None else RunId(predicate["of"]),
            trace=None if trace is None else _read_kept(trace),
            labels=Labels.from_json(predicate.get("labels", {})),
            cwd=None if predicate.get("cwd") is None else str(predicate["cwd"]),
            launch=None if "launch" not in predicate else Launch.from_json(predicate["launch"]),
            masked=tuple(Masked.from_json(entry) for entry in predicate.get("masked", ())),
            locks=tuple(
                LockFile(name=entry["name"], digest=Digest.parse(entry["digest"]))
                for entry in predicate.get("locks", ())
            ),
            container=predicate.get("container"),
            extra={key: value for key, value in predicate.items() if key not in _KNOWN},
        )


_KNOWN = frozenset(
    [
        "run",
        "request",
        "verdict",
        "notebook",
        "source_file",
        "journal",
        "scraps",
        "artifacts",
        "environment_facts",
        "git",
        "user",
        "host",
        "started",
        "finished",
        "seconds",
        "timezone",
        "notes",
        "of",
        "trace",
        "labels",
        "cwd",
        "launch",
        "masked",
        "locks",
        "container",
    ]
)


def _subject(name: str, digest: Digest) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.hex}}


def _kept(kept: Kept) -> dict[str, Any]:
    return {"digest": str(kept.digest), "size": kept.size}


def _read_kept(data: Mapping[str, Any]) -> Kept:
    return Kept(digest=Digest.parse(data["digest"]), size=data["size"])
