"""What is known of a run when it starts, kept in its folder so that anybody can close it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nbprod.digest import Digest, Json
from nbprod.record.ids import RunId
from nbprod.record.labels import Labels
from nbprod.record.request import RunRequest
from nbprod.record.run_record import Kept, LockFile

__all__ = ["RunFolder", "Scope", "Started"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The working files of one run."""

    path: Path

    @property
    def journal(self) -> Path:
        """Every event, as it happens."""
        return self.path / "journal.jsonl"

    @property
    def prepared(self) -> Path:
        """The notebook with its parameters injected, before it runs."""
        return self.path / "prepared.json"

    @property
    def started(self) -> Path:
        """What is known at the start."""
        return self.path / "started.json"

    @property
    def kernel_log(self) -> Path:
        """What the kernel's process writes to its own stdout and stderr."""
        return self.path / "kernel.log"

    @property
    def trace(self) -> Path:
        """What the kernel writes of what its notebook touches."""
        return self.path / "trace.jsonl"

    @property
    def output(self) -> Path:
        """The fresh folder that the parameter `output_dir` names."""
        return self.path / "output"

    def listing(self, digest: Digest) -> Path:
        """Where the list of a folder lies that is an input (see `nbprod.record.folder`)."""
        return self.listings / digest.hex

    @property
    def listings(self) -> Path:
        """The folder of these lists."""
        return self.path / "folders"

    def executed(self, step: str) -> Path:
        """Where the executed notebook lies after the run."""
        return self.path / f"{file_stem(step)}.ipynb"


def file_stem(step: str) -> str:
    """Return a step's name as a file name (law 10: nobody trusts a path made from a name)."""
    safe = "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in step).strip(". ")
    return safe[:100] or "notebook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where it is looked at what a run touches.

    Args:
        root: the project's root.
        cwd: where the kernel runs.
        roots: further folders, declared in the settings.
        handed: files that hold the artifacts of other runs which are handed over; they may lie anywhere.
        why_off: why it is not looked; empty where it is.
        keep_inputs: bytes up to which a file that the run read is kept; 0: none is.
        private: files and folders of which nothing is kept: nbprod's own, and keys.
    """

    root: Path
    cwd: Path
    roots: tuple[Path, ...] = ()
    handed: tuple[Path, ...] = ()
    why_off: str = ""
    keep_inputs: int = 0
    private: tuple[Path, ...] = ()

    def holds(self, path: str) -> bool:
        """Return whether the path lies in the project or below a declared root, or was handed over."""
        folders = (self.root, *self.roots)
        return Path(path) in self.handed or any(Path(path).is_relative_to(folder) for folder in folders)

    def called(self, path: str) -> str:
        """Return the path as the project calls it: a kernel's working directory comes without links."""
        for folder in (self.root, *self.roots):
            real = os.path.realpath(folder)
            if real != str(folder) and Path(path).is_relative_to(real):
                return str(folder / Path(path).relative_to(real))
        return path

    def to_json(self) -> dict[str, Any]:
        """Return the form that is kept in the run's folder."""
        told = {"root": str(self.root), "cwd": str(self.cwd), "why_off": self.why_off, "keep_inputs": self.keep_inputs}
        lists = {"roots": self.roots, "handed": self.handed, "private": self.private}
        return {**told, **{name: [str(path) for path in paths] for name, paths in lists.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scope:
        """Read what `to_json` wrote."""
        # A run that an older nbprod began has not all of them.
        lists = {name: tuple(map(Path, data.get(name, ()))) for name in ("roots", "handed", "private")}
        root, cwd = Path(data["root"]), Path(data["cwd"])
        return cls(root=root, cwd=cwd, why_off=data["why_off"], keep_inputs=data.get("keep_inputs", 0), **lists)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that has begun.

    Args:
        run_id: which.
        request: what was asked for.
        source_file: the notebook file as it was read, in the store.
        environment_facts: in the store.
        git: commit, branch and dirty flag; None outside a repository.
        user: who runs it.
        host: where.
        at: aware, UTC.
        zone: the host's time zone.
        defaults: the parameters' defaults as plain JSON, for papermill's metadata.
        given: the parameters given as plain JSON, for papermill's metadata.
        paths: papermill's input and output path.
        report_mode: whether code is hidden.
        notes: what a reader of the record should know.
        scope: where it is looked at what the run touches; None for a run that an earlier nbprod began.
        labels: what the run is called, and what it is for; known once it begins.
        locks: the lock files at the project's root.
        container: the kind and image of the container that this is, as far as it is known; None outside one.
        keys: the folder with the key that signs its record, on this host; None: it is not signed.
    """

    run_id: RunId
    request: RunRequest
    source_file: Kept
    environment_facts: Digest | None
    git: Mapping[str, Json] | None
    user: str
    host: str
    at: datetime
    zone: str
    defaults: Mapping[str, Any]
    given: Mapping[str, Any]
    paths: tuple[str | None, str | None]
    report_mode: bool
    notes: tuple[str, ...]
    scope: Scope | None = None
    labels: Labels = field(default_factory=Labels)
    locks: tuple[LockFile, ...] = ()
    container: Mapping[str, Json] | None = None
    keys: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form that is kept in the run's folder."""
        return {
            "run": str(self.run_id),
            "request": self.request.to_json(),
            "source_file": {"digest": str(self.source_file.digest), "size": self.source_file.size},
            "environment_facts": None if self.environment_facts is None else str(self.environment_facts),
            "git": None if self.git is None else dict(self.git),
            "user": self.user,
            "host": self.host,
            "at": self.at.isoformat(),
            "zone": self.zone,
            "defaults": dict(self.defaults),
            "given": dict(self.given),
            "paths": list(self.paths),
            "report_mode": self.report_mode,
            "notes": list(self.notes),
            "scope": None if self.scope is None else self.scope.to_json(),
            "labels": self.labels.to_json(),
            "locks": [[lock.name, str(lock.digest)] for lock in self.locks],
            "container": None if self.container is None else dict(self.container),
            "keys": self.keys,
        }

    @classmethod
    def read(cls, path: Path) -> Started:
        """Read what was kept.

        Raises:
            OSError, ValueError, KeyError: it is not there or broken.
        """
        data = json.loads(path.read_bytes())
        facts = data["environment_facts"]
        scope = data.get("scope")
        return cls(
            run_id=RunId(data["run"]),
            request=RunRequest.from_json(data["request"]),
            source_file=Kept(digest=Digest.parse(data["source_file"]["digest"]), size=data["source_file"]["size"]),
            environment_facts=None if facts is None else Digest.parse(facts),
            git=data["git"],
            user=data["user"],
            host=data["host"],
            at=datetime.fromisoformat(data["at"]),
            zone=data["zone"],
            defaults=data["defaults"],
            given=data["given"],
            paths=(data["paths"][0], data["paths"][1]),
            report_mode=data["report_mode"],
            notes=tuple(data["notes"]),
            scope=None if scope is None else Scope.from_json(scope),
            labels=Labels.from_json(data.get("labels", {})),
            locks=tuple(LockFile(name=name, digest=Digest.parse(text)) for name, text in data.get("locks", ())),
            container=data.get("container"),
            keys=data.get("keys"),
        )
