"""A notebook task's arguments: the signature that Prefect binds, and what a call in truth gave."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import Any

from nbprod.errors import CallerError, ParameterError, ParameterFault
from nbprod.parameters import Schema, signature
from nbprod.project import ArtifactFile, Run

__all__ = ["RESERVED", "Omitted", "binding_signature", "describe", "given", "shown_signature"]

EXTRA = "parameters"
RESERVED = frozenset({"self", "wait_for", "return_state", "deferred", EXTRA})
"""Names that Prefect's `Task.__call__`, `.submit` or `.map` take for themselves, and our own `parameters`."""
_NAME_WIDTH = 160


class Omitted:
    """Stands for a default in what Prefect binds, so that a value that was given can be told from one that was not.

    Prefect fills in defaults before it calls a task; a default handed to the notebook would be recorded, and
    injected, as if somebody had chosen it.
    """

    __slots__ = ("default",)

    def __init__(self, default: Any) -> None:
        self.default = default

    def __repr__(self) -> str:
        """Return the default's text."""
        return repr(self.default)


def shown_signature(schema: Schema) -> inspect.Signature:
    """Return what a person sees: the notebook's parameters, without reserved names, and `parameters`."""
    return _signature(schema, hide_defaults=False)


def binding_signature(schema: Schema) -> inspect.Signature:
    """Return what Prefect binds: as `shown_signature`, each default an `Omitted`."""
    return _signature(schema, hide_defaults=True)


def _signature(schema: Schema, *, hide_defaults: bool) -> inspect.Signature:
    kinds = inspect.Parameter
    listed: list[inspect.Parameter] = []
    for entry in signature(schema).parameters.values():
        if entry.kind is kinds.VAR_KEYWORD or entry.name in RESERVED:
            continue
        hidden = hide_defaults and entry.default is not kinds.empty
        listed.append(entry.replace(default=Omitted(entry.default)) if hidden else entry)
    nothing = Omitted(None) if hide_defaults else None
    extra = kinds(EXTRA, kinds.KEYWORD_ONLY, default=nothing, annotation=Mapping[str, Any] | None)
    listed.append(extra)
    if schema.open:
        listed.append(kinds("_others", kinds.VAR_KEYWORD))
    return inspect.Signature(listed)


def given(bound: Mapping[str, Any], step: str) -> dict[str, Any]:
    """Return the values that a call gave, by the notebook's names; a Run stands for one of its artifacts.

    Args:
        bound: what Prefect bound and resolved.
        step: the step's name, for messages.

    Raises:
        CallerError: a name was given twice, or `parameters` is no mapping.
        ParameterError: a run has no artifact that fits.
    """
    values = {name: value for name, value in bound.items() if not isinstance(value, Omitted)}
    values.update(values.pop("_others", {}))
    extra = values.pop(EXTRA, None) or {}
    if not isinstance(extra, Mapping):
        raise CallerError("`parameters` is wrong", expected="a mapping of names to values", found=repr(extra)[:80])
    for name in extra:
        if name in values:
            raise CallerError(f"step {step} was given parameter {name!r} twice", hint="Leave it out of `parameters`.")
    chosen = {name: _artifact_of(name, value) for name, value in {**values, **extra}.items()}
    faults = tuple(value for value in chosen.values() if isinstance(value, ParameterFault))
    if faults:
        raise ParameterError(f"the parameters do not fit {step}", faults)
    return chosen


def _artifact_of(name: str, value: Any) -> Any:
    """Return a run's artifact for a parameter: the one that is called like it, else the only one."""
    if not isinstance(value, Run):
        return value
    names = list(value.artifacts)
    named = [entry for entry in names if name in (entry, PurePosixPath(entry).name, PurePosixPath(entry).stem)]
    fits = named or names
    if len(fits) == 1:
        return value.artifacts[fits[0]]
    there = f"it left {', '.join(names)}" if names else "it left none"
    expected = f"an artifact called {name}, or one alone, of run {value.id.short} of {value.step}"
    return ParameterFault(name, expected, there, f'hand over run.artifacts["{names[0]}"]' if names else None)


def describe(step: str, bound: Mapping[str, Any]) -> str:
    """Return a task run's name: the step and what it was given, in one short line."""
    values = {name: value for name, value in bound.items() if not isinstance(value, Omitted)}
    values.update(values.pop("_others", {}))
    extra = values.pop(EXTRA, None)
    if isinstance(extra, Mapping):
        values.update(extra)
    inner = ", ".join(f"{name}={_short(value)}" for name, value in values.items())
    inner = inner if len(inner) <= _NAME_WIDTH else f"{inner[: _NAME_WIDTH - 1]}…"
    return f"{step}({inner})" if inner else step


def _short(value: Any) -> str:
    if isinstance(value, Run):
        return f"{value.step}@{value.id.short}"
    if isinstance(value, ArtifactFile):
        return f"{value.name}@{value.upstream.run.short}"
    if isinstance(value, PurePath):
        return value.name
    isoformat = getattr(value, "isoformat", None)
    text = str(isoformat()) if isoformat is not None else value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - a word of a line
