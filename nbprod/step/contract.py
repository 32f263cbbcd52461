"""The contract: what a run of the step must leave."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.errors import SettingsError

__all__ = ["Contract", "Requirement", "ScrapRule"]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "float": (float, int),
    "int": (int,),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}
_KEYS = ("type", "min", "max", "one_of")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One line of a contract after the run: what was required, whether it was met, what was found."""

    text: str
    met: bool
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapRule:
    """What a scrap must be.

    Args:
        name: the scrap's name.
        type: one of float, int, str, bool, list, dict; None for any. An int is fine for a float.
        min: smallest value that is fine, None for no bound. NaN is never within bounds.
        max: greatest value that is fine.
        one_of: the values that are fine, empty for any.
    """

    name: str
    type: str | None = None
    min: float | None = None
    max: float | None = None
    one_of: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        """The rule as a phrase: `scrap auc: float, at least 0.6`."""
        parts = [self.type or "present"]
        if self.min is not None:
            parts.append(f"at least {self.min:g}")
        if self.max is not None:
            parts.append(f"at most {self.max:g}")
        if self.one_of:
            parts.append(f"one of {', '.join(map(repr, self.one_of))}")
        return f"scrap {self.name}: {', '.join(parts)}"

    def check(self, scraps: Mapping[str, Any]) -> Requirement:
        """Check the rule against the values of all scraps."""
        if self.name not in scraps:
            there = ", ".join(sorted(scraps)) or "none"
            return Requirement(text=self.text, met=False, found=f"no such scrap (glued: {there})")
        value = scraps[self.name]
        return Requirement(text=self.text, met=self._fits(value), found=_shown(value))

    def _fits(self, value: Any) -> bool:
        if self.type is not None:
            if not isinstance(value, _TYPES[self.type]):
                return False
            if isinstance(value, bool) and self.type != "bool":
                return False
        if self.min is not None or self.max is not None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            low = self.min if self.min is not None else float("-inf")
            high = self.max if self.max is not None else float("inf")
            if not low <= value <= high:
                return False
        return not self.one_of or value in self.one_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """All that a run must leave.

    Args:
        scraps: a rule per scrap.
        artifacts: names, or patterns as in a shell, of files that must be among the artifacts.
    """

    scraps: tuple[ScrapRule, ...] = ()
    artifacts: tuple[str, ...] = ()

    def check(self, scraps: Mapping[str, Any], artifacts: Sequence[str]) -> tuple[Requirement, ...]:
        """Check every line.

        Args:
            scraps: values by name.
            artifacts: names.
        """
        lines = [rule.check(scraps) for rule in self.scraps]
        for pattern in self.artifacts:
            hits = fnmatch.filter(artifacts, pattern)
            found = ", ".join(hits) or f"no such file (left: {', '.join(artifacts) or 'none'})"
            lines.append(Requirement(text=f"artifact {pattern}", met=bool(hits), found=found))
        return tuple(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the record's form."""
        rules = {
            rule.name: {
                key: list(value) if isinstance(value, tuple) else value
                for key in _KEYS
                if (value := getattr(rule, key)) not in (None, ())
            }
            for rule in self.scraps
        }
        return {"scraps": rules, "artifacts": list(self.artifacts)}

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str) -> Contract:
        """Read the `expect` table of a step's settings, or what `to_json` wrote.

        Args:
            data: the table.
            where: how to call it in messages.

        Raises:
            SettingsError: unknown keys, types or values.
        """
        _only_keys(data, ("scraps", "artifacts"), where)
        artifacts = data.get("artifacts", [])
        if not isinstance(artifacts, list) or not all(isinstance(name, str) for name in artifacts):
            raise SettingsError(f"{where}.artifacts is wrong", expected="a list of file names", found=repr(artifacts))
        scraps = data.get("scraps", {})
        if isinstance(scraps, list):  # the short form: names only
            scraps = {name: {} for name in scraps}
        if not isinstance(scraps, Mapping):
            raise SettingsError(f"{where}.scraps is wrong", expected="a table of scraps", found=repr(scraps))
        rules = tuple(_parse_rule(name, rule, f"{where}.scraps.{name}") for name, rule in scraps.items())
        return cls(scraps=rules, artifacts=tuple(artifacts))


def _parse_rule(name: str, rule: Any, where: str) -> ScrapRule:
    if not isinstance(rule, Mapping):
        raise SettingsError(f"{where} is wrong", expected=f"a table with {', '.join(_KEYS)}", found=repr(rule))
    _only_keys(rule, _KEYS, where)
    kind = rule.get("type")
    if kind is not None and kind not in _TYPES:
        raise SettingsError(f"{where}.type is wrong", expected=f"one of {', '.join(_TYPES)}", found=repr(kind))
    for bound in ("min", "max"):
        value = rule.get(bound)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise SettingsError(f"{where}.{bound} is wrong", expected="a number", found=repr(value))
    one_of = rule.get("one_of", [])
    if not isinstance(one_of, list):
        raise SettingsError(f"{where}.one_of is wrong", expected="a list of values", found=repr(one_of))
    return ScrapRule(name=name, type=kind, min=rule.get("min"), max=rule.get("max"), one_of=tuple(one_of))


def _only_keys(data: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [key for key in data if key not in known]
    if unknown:
        raise SettingsError(
            f"{where} has an unknown key {unknown[0]!r}", expected=f"one of {', '.join(known)}", found=unknown[0]
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"  # noqa: PLR2004 - a line of a terminal
