"""The request: everything that is asked for before a run starts, and its digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbprod.digest import Digest, Json, digest_json
from nbprod.record.ids import RunId
from nbprod.record.pins import with_pins

__all__ = ["Input", "RunRequest"]

_FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something that the run reads and that could change its result.

    Args:
        kind: `file`, `folder`, `artifact` (of another run), `root` (declared in the settings), `missing` or `unpinned`.
        name: the parameter that names it; empty for a declared root.
        path: where it was found (an artifact's name in its run); for people, never part of a digest.
        digest: its digest; None where it could not be pinned.
        size: bytes, None if unknown.
        note: why it is not pinned, else empty.
        run: the upstream run, for artifacts.
    """

    kind: str
    name: str
    path: str
    digest: Digest | None = None
    size: int | None = None
    note: str = ""
    run: RunId | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record's form."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": self.path,
            "digest": None if self.digest is None else str(self.digest),
            "size": self.size,
            "note": self.note,
            "run": None if self.run is None else str(self.run),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Input:
        """Read what `to_json` wrote."""
        return cls(
            kind=data["kind"],
            name=data["name"],
            path=data["path"],
            digest=None if data.get("digest") is None else Digest.parse(data["digest"]),
            size=data.get("size"),
            note=data.get("note", ""),
            run=None if data.get("run") is None else RunId(data["run"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What is asked for.

    Args:
        step: the step's name.
        notebook: the notebook's path as text, for people; relative to the project's root where it lies below it.
        source: digest of the notebook's source.
        kernel: name of the kernel spec.
        parameters: all values that are known, tagged; an upstream artifact stands as `{"$nbprod": "artifact", …}`.
        given: names of the parameters that the caller gave.
        inputs: what the parameters name.
        environment: digest of the environment key.
        limits: deadlines and limits (`StepSettings.limits_json`).
        contract: what the run must leave (`Contract.to_json`).
        secrets: names of the secrets that the kernel gets.
        secret_references: where their values are (`file:…`), but for variables of the same name; part of no digest.
        published: for a published step the digest of its manifest, which names its modules; None for one of the
            working tree, whose modules are only known once it has run.
    """

    step: str
    notebook: str
    source: Digest
    kernel: str
    parameters: Mapping[str, Json]
    given: tuple[str, ...]
    inputs: tuple[Input, ...]
    environment: Digest
    limits: Mapping[str, Json]
    contract: Mapping[str, Json]
    secrets: tuple[str, ...] = ()
    secret_references: Mapping[str, str] = field(default_factory=dict)
    published: Digest | None = None

    @property
    def digest(self) -> Digest:
        """Equal source, parameters, inputs and environment give an equal digest on any machine (law 4).

        A file or folder that a parameter names stands in it as the digest of the bytes, never as a path. Where it
        could not be pinned, its note stands there; what is not there stays as it was named. `output_dir` has no part
        in it. Declared roots stand in it in the same way, in their order.
        """
        pins = {entry.name: _pin(entry) for entry in self.inputs if entry.kind != "missing"}
        parameters = {
            name: with_pins(name, value, pins) for name, value in self.parameters.items() if name != "output_dir"
        }
        declared = [_pin(entry) for entry in self.inputs if not entry.name]
        return digest_json(
            {
                **({"roots": declared} if declared else {}),
                "form": _FORM,
                "source": str(self.source),
                "kernel": self.kernel,
                "parameters": parameters,
                "environment": str(self.environment),
                "secrets": sorted(self.secrets),
                **self._published(),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return the record's form."""
        return {
            "digest": str(self.digest),
            "step": self.step,
            "notebook": self.notebook,
            "source": str(self.source),
            "kernel": self.kernel,
            "parameters": dict(self.parameters),
            "given": list(self.given),
            "inputs": [entry.to_json() for entry in self.inputs],
            "environment": str(self.environment),
            "limits": dict(self.limits),
            "contract": dict(self.contract),
            "secrets": list(self.secrets),
            **({"secret_references": dict(self.secret_references)} if self.secret_references else {}),
            **self._published(),
        }

    def _published(self) -> dict[str, Json]:
        return {} if self.published is None else {"published": str(self.published)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRequest:
        """Read what `to_json` wrote."""
        return cls(
            step=data["step"],
            notebook=data["notebook"],
            source=Digest.parse(data["source"]),
            kernel=data["kernel"],
            parameters=dict(data["parameters"]),
            given=tuple(data["given"]),
            inputs=tuple(Input.from_json(entry) for entry in data["inputs"]),
            environment=Digest.parse(data["environment"]),
            limits=dict(data["limits"]),
            contract=dict(data["contract"]),
            secrets=tuple(data.get("secrets", ())),
            secret_references=dict(data.get("secret_references", {})),
            published=None if data.get("published") is None else Digest.parse(data["published"]),
        )


def _pin(entry: Input) -> Json:
    if entry.digest is not None:
        return {"pinned": str(entry.digest)}
    return {"unpinned": entry.note or entry.kind}
