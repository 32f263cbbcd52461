"""Parameter values given as text on the command line, read by the declared type first."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from nbprod.errors import CallerError
from nbprod.parameters import types
from nbprod.parameters.containers import DictOf, ListOf, OneOf, SetOf, TupleOf, UnionOf
from nbprod.parameters.parameter import Parameter
from nbprod.parameters.plain import show
from nbprod.parameters.types import Anything, Scalar, TypeSpec

__all__ = ["Text", "papermill_inference", "read_parameter", "read_text"]


@dataclass(frozen=True, slots=True)
class Text:
    """A value as `-p name text` gives it: not a str, but what the declared type reads in it.

    `-r name text` is a plain str.
    """

    text: str


def read_parameter(parameter: Parameter, text: str) -> Any:
    """Return what the text means for a parameter.

    A declared type must be able to read the text. Where the type is inferred or unknown, the text is read by that
    type, and where it can't, as papermill infers it.

    Raises:
        CallerError: the declared type cannot read it.
    """
    spec = parameter.type
    if spec is None:
        return papermill_inference(text)
    if not parameter.inferred:
        return read_text(parameter.accepts, text)
    try:
        return read_text(spec, text)
    except CallerError:
        return papermill_inference(text)


def read_text(spec: TypeSpec, text: str) -> Any:
    """Return the value of the declared type that the text stands for.

    Raises:
        CallerError: there is none.
    """
    try:
        return _read(spec, text)[0]
    except (ValueError, ArithmeticError, RecursionError) as error:
        form = " as JSON" if isinstance(spec, ListOf | DictOf | SetOf | TupleOf) else ""
        reason = "" if isinstance(error, _Mismatch) else f" ({error})" if form else ""
        raise CallerError(
            "this text cannot be read", expected=spec.describe() + form, found=f"the text {show(text)[:-6]}{reason}"
        ) from error


def papermill_inference(text: str) -> bool | int | float | str | None:
    """Return what `papermill -p name text` makes of the text (papermill 2.7, `cli._resolve_type`)."""
    words: dict[str, bool | None] = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


class _Mismatch(ValueError):
    """The text is not of this type."""


_BOOLS = {"true": True, "True": True, "false": False, "False": False}
_NONES = {"None", "null"}


def _read(spec: TypeSpec, text: str) -> tuple[Any, bool]:
    """Return the value, and whether the text is just how such a value is written (`007` is an int, but not just so)."""
    if isinstance(spec, Scalar):
        return _SCALARS[spec.name](text) if spec.name in _SCALARS else (_converted(spec, text), True)
    if isinstance(spec, UnionOf):
        return _read_union(spec, text)
    if isinstance(spec, OneOf):
        return _read_member(spec, text), True
    if isinstance(spec, Anything):
        return papermill_inference(text), True
    return _converted(spec, json.loads(text, object_pairs_hook=_unique)), True


def _converted(spec: TypeSpec, value: object) -> Any:
    converted = spec.convert(value)
    if (problem := spec.check(converted)) is not None:
        raise _Mismatch(problem) if converted is value and isinstance(value, str) else ValueError(f"got {problem}")
    return converted


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _int(text: str) -> tuple[int, bool]:
    value = int(text)
    return value, str(value) == text


def _float(text: str) -> tuple[float, bool]:
    return float(text), not text.strip().lstrip("+-").isdecimal()


def _bool(text: str) -> tuple[bool, bool]:
    if text not in _BOOLS:
        raise _Mismatch(text)
    return _BOOLS[text], True


def _none(text: str) -> tuple[None, bool]:
    if text not in _NONES:
        raise _Mismatch(text)
    return None, True


def _moment(text: str) -> tuple[datetime, bool]:
    value = datetime.fromisoformat(text)
    try:
        date.fromisoformat(text)
    except ValueError:
        return value, True
    return value, False


_SCALARS: dict[str, Callable[[str], tuple[Any, bool]]] = {
    "str": lambda text: (text, True),
    "int": _int,
    "float": _float,
    "bool": _bool,
    "None": _none,
    "datetime": _moment,
    "Path": lambda text: (Path(text), True),
}


def _read_union(spec: UnionOf, text: str) -> tuple[Any, bool]:
    """Read by the members in their order: first by those that write the value just so, then by any; None before all."""
    if types.NONE in spec.members and text in _NONES:
        return None, True
    readings: list[tuple[Any, bool]] = []
    for member in spec.members:
        try:
            readings.append(_read(member, text))
        except (ValueError, ArithmeticError, RecursionError):
            continue
    if not readings:
        raise _Mismatch(text)
    return next((reading for reading in readings if reading[1]), readings[0])


def _read_member(spec: OneOf, text: str) -> Any:
    for member in spec.members:
        if isinstance(member, bytes):
            continue
        read = _SCALARS["None" if member is None else type(member).__name__]
        try:
            if read(text)[0] == member:
                return member
        except ValueError:
            continue
    raise _Mismatch(text)
