"""What of a request differs from another's, component by component."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.digest import Json
from nbprod.record.request import RunRequest

__all__ = ["Difference", "compare_environments", "compare_requests"]

_OUTPUT_DIR = "output_dir"
_WIDTH = 80
_ABSENT = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same.

    Args:
        component: `source`, `published`, `kernel`, `parameter`, `input`, `environment`, `package` or `secrets`.
        name: which one of its kind; empty where there is only one.
        before: as the earlier run had it, in words.
        after: as it is now, in words.
    """

    component: str
    name: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return it in one line."""
        what = f"{self.component} {self.name}".strip()
        return f"{what}: {self.before} → {self.after}"

    def to_json(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"component": self.component, "name": self.name, "before": self.before, "after": self.after}


def compare_requests(before: RunRequest, after: RunRequest) -> tuple[Difference, ...]:
    """Return in what the digests of two requests differ; nothing if they are equal.

    The environment is only said to differ: `compare_environments` tells in what.
    """
    return tuple(_differences(before, after))


def _differences(before: RunRequest, after: RunRequest) -> Iterator[Difference]:
    if before.source != after.source:
        yield Difference(component="source", name="", before=_short(before.source), after=_short(after.source))
    if before.published != after.published:
        names = [_ABSENT if each is None else _short(each) for each in (before.published, after.published)]
        yield Difference(component="published", name="", before=names[0], after=names[1])
    if before.kernel != after.kernel:
        yield Difference(component="kernel", name="", before=before.kernel, after=after.kernel)
    pinned = {entry.name: _pin(entry) for entry in before.inputs}, {entry.name: _pin(entry) for entry in after.inputs}
    for name in sorted({*before.parameters, *after.parameters} - {_OUTPUT_DIR}):
        values = before.parameters.get(name), after.parameters.get(name)
        named = any(key == name or key.startswith(f"{name}[") for key in (*pinned[0], *pinned[1]))
        if values[0] != values[1] and not named:  # what names an input counts by what it holds
            yield Difference(component="parameter", name=name, before=_shown(values[0]), after=_shown(values[1]))
    for name in sorted({*pinned[0], *pinned[1]}):
        found = pinned[0].get(name, _ABSENT), pinned[1].get(name, _ABSENT)
        if found[0] != found[1]:
            yield Difference(component="input", name=name, before=found[0], after=found[1])
    if before.environment != after.environment:
        yield Difference(
            component="environment", name="", before=_short(before.environment), after=_short(after.environment)
        )
    if sorted(before.secrets) != sorted(after.secrets):
        yield Difference(
            component="secrets",
            name="",
            before=", ".join(sorted(before.secrets)) or _ABSENT,
            after=", ".join(sorted(after.secrets)) or _ABSENT,
        )


def compare_environments(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return in what two environment keys (`EnvironmentKey.to_json`) differ: packages, interpreter, kernel spec."""
    return tuple(_environments(before, after))


def _environments(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    packages = _packages(before), _packages(after)
    for name in sorted({*packages[0], *packages[1]}):
        found = packages[0].get(name), packages[1].get(name)
        if found[0] == found[1]:
            continue
        versions = [_ABSENT if each is None else str(each.get("version")) for each in found]
        if versions[0] == versions[1]:
            versions = [f"{versions[0]}, files as before", f"{versions[1]}, other files"]
        yield Difference(component="package", name=name, before=versions[0], after=versions[1])
    for part in ("python", "settings", "kernel"):
        old, new = before.get(part) or {}, after.get(part) or {}
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield Difference(
                    component="environment",
                    name=f"{part} {name}",
                    before=_shown(old.get(name)),
                    after=_shown(new.get(name)),
                )


def _packages(key: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(each.get("name")): each for each in key.get("distributions") or ()}


def _pin(entry: Any) -> str:
    if entry.digest is not None:
        return _short(entry.digest)
    return "missing" if entry.kind == "missing" else f"unpinned ({entry.note or entry.kind})"


def _short(digest: object) -> str:
    return str(digest).removeprefix("sha256:")[:12]


def _shown(value: Json) -> str:
    if value is None:
        return _ABSENT
    inner = value.get("value") if isinstance(value, dict) and "$nbprod" in value else value
    text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
