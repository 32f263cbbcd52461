"""Steps and their settings (`[tool.nbprod.steps.NAME]` in pyproject.toml)."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from nbprod.digest import Digest
from nbprod.errors import SettingsError
from nbprod.notebook import Notebook, source_digest
from nbprod.parameters import Schema
from nbprod.parameters.size import setting_size
from nbprod.step.contract import Contract
from nbprod.step.keep import Keep
from nbprod.step.reuse import Reuse
from nbprod.step.secret import SecretReference, read_secrets, secrets_json

__all__ = ["KEEP_INPUTS", "Published", "Step", "StepSettings"]

MIB = 1 << 20

KEEP_INPUTS = 64 * MIB
"""Bytes up to which a file that a run read is kept with it, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """How a step is run.

    Args:
        notebook: path of the notebook, relative to the project's root; None for the one that was named.
        kernel: name of the kernel spec; None for the notebook's own.
        cwd: working directory, relative to the project's root; None for the notebook's folder.
        timeout: seconds for all cells together, None for no limit.
        cell_timeout: seconds for each cell, None for no limit.
        start_timeout: seconds until the kernel answers.
        grace: seconds between the interrupt and the kill.
        cell_output_limit: bytes of output kept per cell.
        run_output_limit: bytes of output kept per run.
        exit_ok: `sys.exit(0)` half-way is a success.
        secrets: variables whose values the kernel gets and every output is masked of, and where the values are.
        expect: what a run must leave.
        reuse: whether an earlier run may answer; None: as whoever runs it says (flows: yes, the command line: no).
        trace: whether it is observed what a run touches; None for the project's setting.
        roots: folders that are pinned whole as inputs, relative to the project's root.
        keep: for how long the bytes of its runs are kept; None for the project's setting.
        keep_inputs: bytes up to which a file that a run read is kept with it, 0: none; None as for the project.
    """

    notebook: str | None = None
    kernel: str | None = None
    cwd: str | None = None
    timeout: float | None = None
    cell_timeout: float | None = None
    start_timeout: float = 60.0
    grace: float = 5.0
    cell_output_limit: int = 10 * MIB
    run_output_limit: int = 100 * MIB
    exit_ok: bool = False
    secrets: tuple[SecretReference, ...] = ()
    expect: Contract = field(default_factory=Contract)
    reuse: Reuse | None = None
    trace: bool | None = None
    roots: tuple[str, ...] = ()
    keep: Keep | None = None
    keep_inputs: int | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str) -> StepSettings:
        """Read a step's table.

        Args:
            data: the table.
            where: how to call it in messages (`[tool.nbprod.steps.train]`).

        Raises:
            SettingsError: unknown keys, or values of a wrong kind.
        """
        known = [entry.name for entry in fields(cls)]
        values: dict[str, Any] = {}
        for key, value in data.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}"
                raise SettingsError(f"{where} has an unknown key {key!r}", hint=hint)
            values[key] = _read(key, value, where)
        return cls(**values)

    def with_changes(self, **changes: Any) -> StepSettings:
        """Return a copy with the changes that are not None.

        Raises:
            SettingsError: a value of a wrong kind.
        """
        made = {key: value for key, value in changes.items() if value is not None}
        for key, value in made.items():
            expected, fine = _KINDS[key]
            if not fine(value):
                raise SettingsError(f"{key} is wrong", expected=expected, found=repr(value))
        return replace(self, **made)

    def to_json(self) -> dict[str, Any]:
        """Return the table that `parse` reads, without what is not set."""
        table: dict[str, Any] = {
            "notebook": self.notebook,
            "kernel": self.kernel,
            "cwd": self.cwd,
            **self.limits_json(),
            "secrets": secrets_json(self.secrets),
            "expect": self.expect.to_json(),
            "reuse": None if self.reuse is None else self.reuse.to_json(),
            "trace": self.trace,
            "roots": list(self.roots),
            "keep": None if self.keep is None else self.keep.to_json(),
            "keep_inputs": self.keep_inputs,
        }
        return {key: value for key, value in table.items() if value is not None}

    def limits_json(self) -> dict[str, Any]:
        """Return deadlines and limits in the record's form."""
        return {
            "timeout": self.timeout,
            "cell_timeout": self.cell_timeout,
            "start_timeout": self.start_timeout,
            "grace": self.grace,
            "cell_output_limit": self.cell_output_limit,
            "run_output_limit": self.run_output_limit,
            "exit_ok": self.exit_ok,
        }


def _read(key: str, value: Any, where: str) -> Any:
    expected, fine = _KINDS[key]
    if not fine(value):
        found = type(value).__name__ if key == "secrets" else repr(value)  # which may hold one
        raise SettingsError(f"{where}: {key} is wrong", expected=expected, found=found)
    readers: Mapping[str, Callable[[], Any]] = {
        "reuse": lambda: Reuse.parse(value, f"{where}: reuse"),
        "keep": lambda: Keep.parse(value, f"{where}: keep"),
        "keep_inputs": lambda: setting_size(value),
        "secrets": lambda: read_secrets(value, f"{where}: secrets"),
        "roots": lambda: tuple(value),
        "expect": lambda: Contract.parse(value, f"{where} expect"),
    }
    return readers[key]() if key in readers else value


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _seconds(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


_KINDS: Mapping[str, tuple[str, Any]] = {
    "notebook": ("a path", _text),
    "kernel": ("the name of a kernel spec", _text),
    "cwd": ("a path", _text),
    "timeout": ("a finite number of seconds above 0", _seconds),
    "cell_timeout": ("a finite number of seconds above 0", _seconds),
    "start_timeout": ("a finite number of seconds above 0", _seconds),
    "grace": ("a finite number of seconds above 0", _seconds),
    "cell_output_limit": ("a number of bytes above 0", _size),
    "run_output_limit": ("a number of bytes above 0", _size),
    "exit_ok": ("true or false", lambda value: isinstance(value, bool)),
    "secrets": (
        "a list of names of environment variables, or a table of references by name",
        lambda value: isinstance(value, Mapping) or _names(value),
    ),
    "reuse": ("true, false or a text", lambda value: isinstance(value, bool | str)),
    "trace": ("true or false", lambda value: isinstance(value, bool)),
    "roots": ("a list of paths", _names),
    "keep": ('a duration such as "90d", or "forever"', _text),
    "keep_inputs": ('a size such as "64 MiB", or 0', lambda value: setting_size(value) is not None),
    "expect": ("a table", lambda value: isinstance(value, Mapping)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a published step comes from.

    Args:
        label: `train@3`.
        manifest: the digest of what belongs to it.
        git: the commit that it was published from, as the record has it; None outside a repository.
        remark: what speaks against running it; for people.
    """

    label: str
    manifest: Digest
    git: Mapping[str, Any] | None
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A notebook as a pipeline step.

    Args:
        name: the step's name; by default the notebook's file name without its ending.
        notebook: parsed.
        data: the notebook file's bytes, as read.
        path: where it was read from (None for standard input).
        folder: where it runs unless told otherwise.
        settings: how it is run.
        published: the version that it is; None for a step of the working tree.
        origin: the address that it was read from, without credentials; None for a file or standard input.
    """

    name: str
    notebook: Notebook
    data: bytes
    path: Path | None
    folder: Path
    settings: StepSettings
    published: Published | None = None
    origin: str | None = None

    @property
    def schema(self) -> Schema:
        """The notebook's parameters."""
        return self.notebook.schema

    @property
    def source(self) -> Digest:
        """The digest of the notebook's source."""
        return source_digest(self.notebook)

    @property
    def kernel_name(self) -> str:
        """The kernel spec that it runs on."""
        return self.settings.kernel or self.notebook.kernel_name or "python3"
