"""What a parameter's declaration accepts: a value per type, with its text, its check and its JSON Schema."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from nbprod.digest import Json
from nbprod.parameters.duration import parse_duration
from nbprod.parameters.plain import show

__all__ = [
    "ANY",
    "BOOL",
    "DATE",
    "DATETIME",
    "DECIMAL",
    "FLOAT",
    "INT",
    "NONE",
    "PATH",
    "STR",
    "TIME",
    "TIMEDELTA",
    "UUID_",
    "Anything",
    "Scalar",
    "TypeSpec",
]


class TypeSpec(ABC):
    """One declared type. Specs are frozen values: they compare, hash and pickle."""

    __slots__ = ()

    @abstractmethod
    def describe(self) -> str:
        """Return the type as a person writes it: `list[int] | None`."""

    @abstractmethod
    def check(self, value: object, where: str = "") -> str | None:
        """Return what is wrong with a plain value, as the "got" of a message, or None where it fits.

        Args:
            value: the value.
            where: where it stands in the parameter (`[2]['x']`), for the message.
        """

    def convert(self, value: object) -> object:
        """Return the value of this type that a plain value stands for, or the value itself where there is none.

        What comes from JSON, YAML or Prefect has no dates, tuples, sets or paths: ISO texts and lists stand for them.
        """
        return value

    @abstractmethod
    def json_schema(self) -> dict[str, Json]:
        """Return the JSON Schema (2020-12) of the JSON forms that `convert` reads."""

    @abstractmethod
    def annotation(self) -> Any:
        """Return the type as a Python typing object."""


@dataclass(frozen=True, slots=True)
class Anything(TypeSpec):
    """Accepts every plain value.

    Args:
        source: the annotation's text where it names a type that nbprod does not know, else None for `Any`.
    """

    source: str | None = None

    def describe(self) -> str:
        """Return the annotation as written."""
        return self.source or "Any"

    def check(self, value: object, where: str = "") -> str | None:  # noqa: ARG002 - the contract's signature
        """Accept."""
        return None

    def json_schema(self) -> dict[str, Json]:
        """Return the schema that accepts everything."""
        return {}

    def annotation(self) -> Any:
        """Return `Any`."""
        return Any


@dataclass(frozen=True, slots=True)
class Scalar(TypeSpec):
    """A type without members.

    Args:
        name: one of `int, float, str, bool, None, datetime, date, time, timedelta, Path, Decimal, UUID`.
    """

    name: str

    def describe(self) -> str:
        """Return the name."""
        return self.name

    def check(self, value: object, where: str = "") -> str | None:
        """Refuse other types; a bool is no int, a datetime no date, an int is fine for a float."""
        kind = _KINDS[self.name]
        fits = isinstance(value, kind.accepts) and not (kind.refuses and isinstance(value, kind.refuses))
        return None if fits else show(value) + (f" at {where}" if where else "")

    def convert(self, value: object) -> object:
        """Read ISO and other texts for types that JSON does not have."""
        try:
            return _KINDS[self.name].convert(value)
        except (ValueError, ArithmeticError):
            return value

    def json_schema(self) -> dict[str, Json]:
        """Return type and format."""
        return dict(_KINDS[self.name].schema)

    def annotation(self) -> Any:
        """Return the class, or None."""
        return None if self.name == "None" else _KINDS[self.name].accepts[0]


@dataclass(frozen=True, slots=True)
class _Kind:
    accepts: tuple[type, ...]
    schema: dict[str, Json]
    convert: Callable[[Any], object] = lambda value: value
    refuses: tuple[type, ...] = ()


def _to_float(value: object) -> object:
    """Turn an int into the float it equals; beyond 2^53 there may be none, then it stays an int."""
    if type(value) is int:
        with suppress(OverflowError):
            return float(value) if float(value) == value else value
    return value


def _to_str(value: object) -> object:
    return os.fspath(value) if isinstance(value, Path) else value


def _from_text(read: Callable[[str], object]) -> Callable[[Any], object]:
    return lambda value: read(value) if isinstance(value, str) else value


def _to_datetime(value: object) -> object:
    # YAML reads `2013-01-01` as a date.
    return datetime(value.year, value.month, value.day) if type(value) is date else value  # noqa: DTZ001 - as naive as given


def _to_decimal(value: object) -> object:
    """Read texts and ints; a float is not what the writer of `0.1` meant."""
    return Decimal(value) if isinstance(value, str) or type(value) is int else value


def _text(form: str) -> dict[str, Json]:
    return {"type": "string", "format": form}


_KINDS: dict[str, _Kind] = {
    "int": _Kind((int,), {"type": "integer"}, refuses=(bool,)),
    "float": _Kind((float, int), {"type": "number"}, _to_float, refuses=(bool,)),
    "str": _Kind((str,), {"type": "string"}, _to_str),
    "bool": _Kind((bool,), {"type": "boolean"}),
    "None": _Kind((type(None),), {"type": "null"}),
    "datetime": _Kind((datetime,), _text("date-time"), lambda v: _to_datetime(_from_text(datetime.fromisoformat)(v))),
    "date": _Kind((date,), _text("date"), _from_text(date.fromisoformat), refuses=(datetime,)),
    "time": _Kind((time,), _text("time"), _from_text(time.fromisoformat)),
    "timedelta": _Kind((timedelta,), _text("duration"), _from_text(parse_duration)),
    "Path": _Kind((Path,), _text("path"), _from_text(Path)),
    "Decimal": _Kind((Decimal,), {"type": ["string", "integer"], "format": "decimal"}, _to_decimal),
    "UUID": _Kind((UUID,), _text("uuid"), _from_text(UUID)),
}

ANY = Anything()
INT = Scalar("int")
FLOAT = Scalar("float")
STR = Scalar("str")
BOOL = Scalar("bool")
NONE = Scalar("None")
DATETIME = Scalar("datetime")
DATE = Scalar("date")
TIME = Scalar("time")
TIMEDELTA = Scalar("timedelta")
PATH = Scalar("Path")
DECIMAL = Scalar("Decimal")
UUID_ = Scalar("UUID")
