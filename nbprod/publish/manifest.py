"""What belongs to a published step, by digest. Kept in the store as canonical JSON (RFC 8785)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbprod.digest import Digest, Json, canonical
from nbprod.errors import CallerError, IntegrityError, UnsupportedVersion

__all__ = ["Frozen", "Manifest"]

_FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A file of a published step.

    Args:
        path: relative to the project's root, with `/`.
        digest: of its bytes.
        size: bytes.
    """

    path: str
    digest: Digest
    size: int

    def to_json(self) -> dict[str, Json]:
        """Return the form that is kept."""
        return {"path": self.path, "digest": str(self.digest), "size": self.size}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Frozen:
        """Read what `to_json` wrote."""
        return cls(path=str(data["path"]), digest=Digest.parse(data["digest"]), size=int(data["size"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A published step.

    Args:
        step: its name.
        notebook: the notebook file.
        modules: the local modules that it imports, and those that they import.
        folder: the working directory, relative to the project's root, with `/`.
        settings: the step's settings, in the form of `[tool.nbprod.steps.NAME]`.
        schema: the parameters as JSON Schema (2020-12), for readers.
        environment: digest of the environment key at the time; for readers: a run is made with the present one.
        git: commit, branch, dirty flag and remote; None outside a repository.
        nbprod: the version of nbprod that published it.
        extra: fields that this version doesn't know; kept and written back.
    """

    step: str
    notebook: Frozen
    modules: tuple[Frozen, ...]
    folder: str
    settings: Mapping[str, Json]
    schema: Mapping[str, Json]
    environment: Digest
    git: Mapping[str, Json] | None
    nbprod: str
    extra: Mapping[str, Json] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Frozen, ...]:
        """All files, the notebook first."""
        return (self.notebook, *self.modules)

    def to_bytes(self) -> bytes:
        """Return the bytes that are kept."""
        return canonical(
            {
                **self.extra,
                "form": _FORM,
                "step": self.step,
                "notebook": self.notebook.to_json(),
                "modules": [module.to_json() for module in self.modules],
                "folder": self.folder,
                "settings": dict(self.settings),
                "schema": dict(self.schema),
                "environment": str(self.environment),
                "git": None if self.git is None else dict(self.git),
                "nbprod": self.nbprod,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what `to_bytes` wrote.

        Raises:
            UnsupportedVersion: a newer nbprod wrote it.
            IntegrityError: it is no manifest.
        """
        try:
            read = json.loads(data)
            if read["form"] != _FORM:
                raise UnsupportedVersion(
                    "this step was published by a newer nbprod",
                    expected=f"form {_FORM}",
                    found=f"form {read['form']}",
                    hint="Use that nbprod, or a newer one.",
                )
            return cls(
                step=str(read["step"]),
                notebook=Frozen.from_json(read["notebook"]),
                modules=tuple(Frozen.from_json(module) for module in read["modules"]),
                folder=str(read["folder"]),
                settings=dict(read["settings"]),
                schema=dict(read["schema"]),
                environment=Digest.parse(read["environment"]),
                git=read["git"],
                nbprod=str(read["nbprod"]),
                extra={key: value for key, value in read.items() if key not in _KNOWN},
            )
        except (ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
            raise IntegrityError("this is not a published step", found=f"{type(error).__name__}: {error}") from error


_KNOWN = frozenset(
    ["form", "step", "notebook", "modules", "folder", "settings", "schema", "environment", "git", "nbprod"]
)
