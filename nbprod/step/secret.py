"""Where a step's secrets come from: references, which may be read by everybody, and never values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.errors import SettingsError

__all__ = ["FILE", "SecretReference", "hidden_names", "read_secrets", "secrets_json"]

ENV, FILE, PREFECT = "env", "file", "prefect"
_BLOCK = "secret/"

_VARIABLE = re.compile(r"[^=\s\0]+")
_FORMS: Mapping[str, tuple[str, re.Pattern[str]]] = {
    ENV: ("env:VARIABLE", _VARIABLE),
    FILE: ("file:PATH", re.compile(r"[^\0\n]+")),
    # Prefect's own rule for the names of block documents.
    PREFECT: ("prefect:secret/BLOCK", re.compile(r"secret/[a-z0-9][a-z0-9-]*")),
}
_EXPECTED = ", ".join(form for form, _ in _FORMS.values())
_OURS = frozenset({"NBPROD_RUN_ID", "JPY_PARENT_PID"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """A variable of the kernel's, and where its value is.

    Args:
        name: the variable.
        source: `env` (a variable of the process that runs the notebook), `file` or `prefect` (a Secret block).
        place: the other variable's name; the file's path, relative to the project's root, or with `~`; or
            `secret/BLOCK`.
    """

    name: str
    source: str
    place: str

    @classmethod
    def parse(cls, name: str, text: object, where: str) -> SecretReference:
        """Read `env:VARIABLE`, `file:PATH` or `prefect:secret/BLOCK`.

        Args:
            name: the kernel's variable.
            text: the reference.
            where: how to call it in messages.

        Raises:
            SettingsError: none of these. What was given is not shown: it may be the secret itself.
        """
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name) or name in _OURS:
            raise SettingsError(
                f"{where} is wrong", expected="names of environment variables, none of nbprod's own", found=repr(name)
            )
        source, _, place = text.partition(":") if isinstance(text, str) else ("", "", "")
        if source not in _FORMS or not _FORMS[source][1].fullmatch(place):
            raise SettingsError(
                f"{where}: {name} names no place where a secret is",
                expected=f"one of {_EXPECTED}",
                found="a text of another form (not shown: it may be the secret)",
                hint="A secret's value never stands in pyproject.toml",
            )
        return cls(name=name, source=source, place=place)

    @property
    def block(self) -> str:
        """The name of the block that a reference to Prefect names."""
        return self.place.removeprefix(_BLOCK)

    @property
    def plain(self) -> bool:
        """Whether it is the variable of the same name."""
        return self.source == ENV and self.place == self.name

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.source}:{self.place}"


def read_secrets(value: Any, where: str) -> tuple[SecretReference, ...]:
    """Read a setting: a list of variables' names, or a table of references by name.

    Raises:
        SettingsError: neither, or a reference of a wrong form.
    """
    if isinstance(value, Mapping):
        return tuple(SecretReference.parse(name, text, where) for name, text in value.items())
    return tuple(SecretReference.parse(name, f"{ENV}:{name}", where) for name in value)


def hidden_names(references: Iterable[SecretReference]) -> tuple[str, ...]:
    """Return the names of all variables that hold a value: the kernel's, and those that they are taken from."""
    listed = list(references)
    taken = (reference.place for reference in listed if reference.source == ENV)
    return tuple(dict.fromkeys((*(reference.name for reference in listed), *taken)))


def secrets_json(references: Iterable[SecretReference]) -> list[str] | dict[str, str]:
    """Return the setting that `read_secrets` reads, in its short form where that says it all."""
    listed = list(references)
    if all(reference.plain for reference in listed):
        return [reference.name for reference in listed]
    return {reference.name: str(reference) for reference in listed}
