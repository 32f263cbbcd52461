"""Plain values: the Python types that a parameter may hold, exactly and nothing else.

What comes from numpy, pandas, enums or subclasses is turned into the plain value it equals; what equals none is
refused, never turned into text.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from nbprod.errors import CallerError

__all__ = ["MAX_DEPTH", "identical", "plain", "show"]

MAX_DEPTH = 64
"""How deep containers may nest: Python's own parser refuses 200 brackets, and a level may need two."""

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, date, timedelta, Decimal, UUID})
_KINDS = (
    "None, bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict, datetime, date, time, timedelta, "
    "Path, Decimal, UUID"
)
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def show(value: object) -> str:
    """Return a short text of a value and its type, for messages: `'x' (str)`."""
    try:
        text = _short.repr(value)
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything, and the message must still come
        text = "a value that cannot be shown"
    return text if value is None else f"{text} ({type(value).__qualname__})"


def plain(value: object) -> Any:
    """Return an equal value made of plain types only; containers are copied.

    Objects with `__fspath__` become `Path`, numpy scalars Python scalars, subclasses of str, int, float, list, dict
    and the date types their base where that loses nothing.

    Raises:
        CallerError: a type without a codec, a container that holds itself, or nesting beyond `MAX_DEPTH`.
    """
    return _plain(value, frozenset())


def identical(left: object, right: object) -> bool:
    """Tell whether two plain values are equal with equal types all the way down; NaN is identical to NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(identical, left, right))
    if isinstance(left, Decimal):
        return str(left) == str(right)  # a signalling NaN refuses to be compared
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(
            identical(*pair)
            for item in zip(left.items(), right.items(), strict=True)
            for pair in zip(*item, strict=True)
        )
    return left == right or (left != left and right != right)  # noqa: PLR0124 - NaN


def _plain(value: object, above: frozenset[int]) -> Any:  # noqa: PLR0911 - a table of kinds
    kind = type(value)
    if kind in _SCALARS:
        return value
    if isinstance(value, list | tuple | set | frozenset | dict | MappingProxyType):
        return _container(value, above)
    if any(c.__module__.partition(".")[0] == "numpy" and c.__name__ == "generic" for c in kind.__mro__):
        return _numpy_scalar(value, above)
    if isinstance(value, datetime):
        return _datetime(value)
    if isinstance(value, time):
        return time(value.hour, value.minute, value.second, value.microsecond, _zone(value.tzinfo), fold=value.fold)
    if isinstance(value, os.PathLike):
        return Path(os.fsdecode(value))
    return _base(value)


def _container(value: Any, above: frozenset[int]) -> Any:
    if id(value) in above:
        raise CallerError("a parameter's value holds itself", found=f"a {type(value).__name__} inside itself")
    if len(above) >= MAX_DEPTH:
        raise CallerError("a parameter's value is nested too deep", expected=f"at most {MAX_DEPTH} levels")
    if hasattr(value, "_fields"):
        raise _refusal(value, "give the named tuple as a tuple or a dict")
    inside = above | {id(value)}
    if isinstance(value, Mapping):
        return {_plain(key, inside): _plain(item, inside) for key, item in value.items()}
    base = next(c for c in (list, tuple, set, frozenset) if isinstance(value, c))
    return base(_plain(item, inside) for item in value)


def _numpy_scalar(value: Any, above: frozenset[int]) -> Any:
    """Convert by numpy's own `item()`, which gives an int for datetimes in nanoseconds: that one is refused."""
    item = value.item()
    if type(item) is type(value) or (getattr(value.dtype, "kind", "") in "mM" and isinstance(item, int)):
        raise _refusal(value, "convert it to a Python value first")
    return _plain(item, above)


def _datetime(value: datetime) -> datetime:
    if getattr(value, "nanosecond", 0) or value != value:  # noqa: PLR0124 - pandas.NaT is a datetime unequal to itself
        raise _refusal(value, "Python's datetime holds whole microseconds")
    day = (value.year, value.month, value.day)
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return datetime(*day, *clock, _zone(value.tzinfo), fold=value.fold)  # noqa: DTZ001 - as naive or aware as it was


def _zone(zone: tzinfo | None) -> tzinfo | None:
    if zone is None or type(zone) is timezone:
        return zone
    if isinstance(zone, ZoneInfo) and zone.key:
        return ZoneInfo(zone.key)
    raise _refusal(zone, "use datetime.timezone or zoneinfo.ZoneInfo")


def _base(value: object) -> Any:
    """Turn an instance of a subclass into its base where the two are equal."""
    bases: tuple[tuple[type, Callable[[Any], object]], ...] = (
        (str, str.__str__),
        (int, int.__int__),
        (float, float.__float__),
        (timedelta, lambda v: timedelta(v.days, v.seconds, v.microseconds)),
        (date, lambda v: date(v.year, v.month, v.day)),
    )
    for base, convert in bases:
        if isinstance(value, base) and not getattr(value, "nanoseconds", 0):
            exact = convert(value)
            if exact == value or exact != exact:  # noqa: PLR0124 - NaN of a subclass
                return exact
    hint = "give the member's value" if isinstance(value, Enum) else "convert it to one of them first"
    raise _refusal(value, hint)


def _refusal(value: object, hint: str) -> CallerError:
    return CallerError("this value cannot be a parameter", expected=_KINDS, found=show(value), hint=hint)
