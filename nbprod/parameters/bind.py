"""Binding: values given against a notebook's schema, refused all at once before any kernel starts."""

from __future__ import annotations

import copy
import difflib
import keyword
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.digest import Json
from nbprod.errors import CallerError, ParameterError, ParameterFault
from nbprod.parameters.codec import tag
from nbprod.parameters.parameter import Parameter, Unevaluated
from nbprod.parameters.plain import plain, show
from nbprod.parameters.schema import Schema
from nbprod.parameters.text import Text, read_parameter
from nbprod.parameters.types import TypeSpec

__all__ = ["Parameters", "bind", "is_name"]

_UNTAGGED = (
    "The notebook has no cell tagged `parameters`. Tag the cell that holds the defaults: in JupyterLab, select it and "
    "add the tag `parameters` under Property Inspector, Common Tools, Cell Tags."
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Checked parameters of one run. Immutable: every property hands out copies.

    Args:
        defaults: names and values of the parameters that were not given and whose default is known.
        bound: names and plain values of those that were given, in the schema's order.
        unevaluated: names and source texts of defaults that only the notebook knows.
    """

    defaults: tuple[tuple[str, object], ...] = ()
    bound: tuple[tuple[str, object], ...] = ()
    unevaluated: tuple[tuple[str, str], ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """All known values: what was given, and the defaults of the rest."""
        return copy.deepcopy({**dict(self.defaults), **dict(self.bound)})

    @property
    def overrides(self) -> dict[str, Any]:
        """The given values only."""
        return copy.deepcopy(dict(self.bound))

    @property
    def given(self) -> tuple[str, ...]:
        """The names that were given."""
        return tuple(name for name, _ in self.bound)

    def tagged(self) -> dict[str, Json]:
        """Return all known values in their JSON form (see `codec.tag`)."""
        return {name: tag(value) for name, value in (*self.defaults, *self.bound)}


def is_name(name: object) -> bool:
    """Tell whether a name may be assigned: an identifier as Python reads it (NFKC), and no keyword."""
    return (
        isinstance(name, str)
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and name != "__debug__"
        and unicodedata.normalize("NFKC", name) == name
    )


def bind(schema: Schema, given: Mapping[str, object], *, what: str = "the notebook") -> Parameters:
    """Check the given values against the schema.

    Args:
        schema: the notebook's schema.
        given: names and values; a `Text` is read by the declared type. An `Unevaluated` counts as not given
            (`signature` has them as defaults).
        what: the notebook or step, for messages.

    Raises:
        ParameterError: unknown names, missing required ones and ill-typed values, all of them.
    """
    asked = {name: value for name, value in given.items() if not isinstance(value, Unevaluated)}
    faults: list[ParameterFault] = []
    bound: dict[str, object] = {}
    for name, value in asked.items():
        result = _bind_one(schema, name, value)
        if isinstance(result, ParameterFault):
            faults.append(result)
        else:
            bound[name] = result.value
    faults += [
        ParameterFault(p.name, p.accepts.describe(), "nothing", "it has no default")
        for p in schema
        if p.required and p.name not in asked
    ]
    if faults:
        hint = None if schema.declared else _UNTAGGED
        raise ParameterError(f"the parameters do not fit {what}", tuple(faults), hint=hint)
    order = [*schema.names, *(name for name in bound if name not in schema)]
    rest = [parameter for parameter in schema if parameter.name not in bound]
    return Parameters(
        defaults=tuple((p.name, copy.deepcopy(p.default)) for p in rest if p.known_default),
        bound=tuple((name, bound[name]) for name in order if name in bound),
        unevaluated=tuple((p.name, p.default.source) for p in rest if isinstance(p.default, Unevaluated)),
    )


@dataclass(frozen=True, slots=True)
class _Bound:
    value: object


def _bind_one(schema: Schema, name: object, value: object) -> _Bound | ParameterFault:
    if schema.open and isinstance(name, str) and all(is_name(part) for part in name.split(".")):
        # Names with dots are R's. No declaration, no check: the language's own translator refuses what it can't say.
        parameter: Parameter | None = schema.get(name) or Parameter(name, None, None)
    elif not isinstance(name, str) or not is_name(name):
        return ParameterFault(_printable(name), "a Python identifier as the name", show(name))
    else:
        parameter = schema.get(name)
    if parameter is None:
        return _unknown(schema, name)
    return _fit(parameter, value)


def _unknown(schema: Schema, name: str) -> ParameterFault:
    if not schema.declared:
        return ParameterFault(name, "no parameters at all", "a value")
    known = ", ".join(schema.names) or "none, the cell is empty"
    close = difflib.get_close_matches(name, schema.names, n=1) or [
        other for other in schema.names if other.casefold() == name.casefold()
    ]
    return ParameterFault(
        name, f"a declared parameter ({known})", "an unknown name", f"did you mean {close[0]}?" if close else None
    )


def _fit(parameter: Parameter, value: object) -> _Bound | ParameterFault:
    spec = parameter.accepts
    try:
        if isinstance(value, Text):
            value = read_parameter(parameter, value.text)
        fitted = spec.convert(plain(value))
    except CallerError as error:
        hint = error.hint or _forms(spec)
        return ParameterFault(parameter.name, error.expected or spec.describe(), error.found or error.what, hint)
    problem = spec.check(fitted)
    if problem is None:
        return _Bound(fitted)
    return ParameterFault(parameter.name, parameter.describe_type(), problem, _forms(spec))


def _forms(spec: TypeSpec) -> str | None:
    return "write a duration as P1DT2H, 90s or 01:30:00" if "timedelta" in spec.describe() else None


def _printable(name: object) -> str:
    text = name if isinstance(name, str) else repr(name)
    return text if text.isprintable() and len(text) <= 40 else ascii(text)[:60]  # noqa: PLR2004 - a line's width
