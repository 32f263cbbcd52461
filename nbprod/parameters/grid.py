"""Many settings of a notebook's parameters: lists of values, combined with each other or in pairs."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from nbprod.errors import CallerError
from nbprod.parameters.plain import show
from nbprod.parameters.text import Text
from nbprod.parameters.types import Anything, TypeSpec

__all__ = ["Axis", "expand", "listed", "values_in"]

_SYNTAX = "values with commas between them (0.1,1,10) or a range (0..9, 0..100..10)"
_NUMBERS = re.compile(r"([+-]?\d{1,18})\.\.([+-]?\d{1,18})(?:\.\.([+-]?\d{1,18}))?", re.ASCII)
_DAYS = re.compile(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)(?:\.\.([+-]?\d{1,6}))?", re.ASCII)
_CLOSING = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter and the values that it is to take, one after the other."""

    name: str
    values: tuple[object, ...]


def expand(
    axes: Sequence[Axis],
    rows: Sequence[Mapping[str, object]] = ({},),
    *,
    paired: bool = False,
    most: int,
) -> tuple[dict[str, object], ...]:
    """Return the settings that the axes span, the last axis changing fastest.

    Args:
        axes: at least none; each with its own name.
        rows: settings of other parameters, each of which is combined with all that the axes give.
        paired: the first values of all axes go together, then the second ones; an axis of one value goes with all.
        most: how many settings there may be.

    Raises:
        CallerError: a name that is given twice, an axis or rows without values, pairs of unequal lengths, or too many.
    """
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise CallerError(f"values for {name} are given twice", hint=f"Give them once: {name}=A,B,C.")
        if any(name in row for row in rows):
            raise CallerError(f"values for {name} are given twice", found="a list, and a column of the rows")
    empty = next((axis.name for axis in axes if not axis.values), None)
    if empty is not None or not rows:
        raise CallerError("there is nothing to run", found=f"no value for {empty}" if rows else "no rows")
    if paired:
        _refuse_unequal(axes)
    lengths = [len(axis.values) for axis in axes]
    _refuse_many((max(lengths, default=1) if paired else math.prod(lengths)) * len(rows), most)
    points = list(_pairs(axes) if paired else itertools.product(*(axis.values for axis in axes)))
    return tuple({**row, **dict(zip(names, point, strict=True))} for row in rows for point in points)


def _refuse_unequal(axes: Sequence[Axis]) -> None:
    if len({len(axis.values) for axis in axes} - {1}) > 1:
        found = ", ".join(f"{axis.name} has {len(axis.values)}" for axis in axes)
        raise CallerError(
            "lists of different lengths cannot be paired",
            expected="equally many values in each list, or a single one, which goes with all",
            found=found,
        )


def _refuse_many(count: int, most: int) -> None:
    if count > most:
        raise CallerError(
            "there are too many settings",
            expected=f"at most {most:,}",
            found=f"{count:,}",
            hint="Give fewer values, or raise the limit.",
        )


def _pairs(axes: Sequence[Axis]) -> Iterator[tuple[object, ...]]:
    longest = max((len(axis.values) for axis in axes), default=1)
    columns = [axis.values * longest if len(axis.values) == 1 else axis.values for axis in axes]
    return iter(zip(*columns, strict=True)) if columns else iter([()])


# --- one axis as text ---------------------------------------------------------------------------


def values_in(name: str, text: str, spec: TypeSpec, *, most: int) -> tuple[object, ...]:
    """Return the values that a text lists: `0.1,1,10`, `0..9`, `[1,2],[3,4]`, `"a,b",c`.

    Commas part values, but not those inside brackets or quotes. Quotes around a whole value are taken off; a backslash
    in them takes the special meaning from a quote and from a backslash. `a..b` and `a..b..step` are whole numbers, the
    end included, where the declared type takes numbers, and days where it takes dates; elsewhere they are texts.

    Args:
        name: the parameter, for messages.
        text: the list.
        spec: what the parameter accepts.
        most: how many values there may be.

    Returns:
        `Text` for what the declared type is still to read; the elements of ranges as values.

    Raises:
        CallerError: it is no list, a range is empty, or there are too many.
    """
    values: list[object] = []
    for item in _items(name, text):
        found = None if item.quoted else _range_of(name, item.text, spec)
        _refuse_many(len(values) + (1 if found is None else found.count), most)
        values += [Text(item.text)] if found is None else list(found.values())
    return tuple(values)


@dataclass(frozen=True, slots=True)
class _Item:
    text: str
    quoted: bool


def _items(name: str, text: str) -> Iterator[_Item]:
    if not text.strip():
        raise CallerError(
            f"{name} has no value", expected=_SYNTAX, found="nothing", hint=f"Write {name}='\"\"' for an empty text."
        )
    position = 0
    while position <= len(text):
        item, position = _item(name, text, position)
        if not item.text and not item.quoted:
            raise CallerError(
                f"a value of {name} is missing",
                expected=_SYNTAX,
                found=f"nothing between two commas, or at an end, of {text!r}",
                hint='Write "" for an empty text.',
            )
        yield item
        position += 1  # the comma


def _item(name: str, text: str, start: int) -> tuple[_Item, int]:
    """Return the item that begins there, and where its comma or the end is."""
    while start < len(text) and text[start].isspace():
        start += 1
    if start < len(text) and text[start] in "'\"":
        return _quoted(name, text, start)
    end = _end(name, text, start)
    return _Item(text[start:end].rstrip(), quoted=False), end


def _quoted(name: str, text: str, start: int) -> tuple[_Item, int]:
    quote, letters, position = text[start], [], start + 1
    while position < len(text) and text[position] != quote:
        if text[position] == "\\" and text[position + 1 : position + 2] in ("\\", quote):
            position += 1
        letters.append(text[position])
        position += 1
    if position >= len(text):
        raise _open_still(name, text, quote)
    end = position + 1
    while end < len(text) and text[end].isspace():
        end += 1
    if end < len(text) and text[end] != ",":
        raise CallerError(
            f"something follows a closing quote in the values of {name}",
            expected="a comma or the end",
            found=repr(text[end:]),
            hint=f"Put the whole value into quotes, with \\{quote} for a quote in it.",
        )
    return _Item("".join(letters), quoted=True), end


def _end(name: str, text: str, start: int) -> int:
    """Return where an item without quotes ends: at a comma outside of brackets."""
    awaited: list[str] = []
    position = start
    while position < len(text) and (awaited or text[position] != ","):
        letter = text[position]
        if letter in _CLOSING:
            awaited.append(_CLOSING[letter])
        elif awaited and letter == awaited[-1]:
            awaited.pop()
        elif awaited and letter == '"':
            position = _string_end(name, text, position)
        position += 1
    if awaited:
        raise _open_still(name, text, next(left for left, right in _CLOSING.items() if right == awaited[-1]))
    return position


def _string_end(name: str, text: str, start: int) -> int:
    """Return where a JSON string inside brackets is closed."""
    position = start + 1
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    if position >= len(text):
        raise _open_still(name, text, '"')
    return position


def _open_still(name: str, text: str, sign: str) -> CallerError:
    return CallerError(
        f"a {sign} in the values of {name} is never closed",
        expected=_SYNTAX,
        found=repr(text),
        hint="Where it belongs to a text, put that text into quotes.",
    )


@dataclass(frozen=True, slots=True)
class _Range:
    """A range of whole numbers, or of days counted from the first of January of the year 1 (`date.toordinal`)."""

    start: int
    stop: int
    step: int
    days: bool

    @property
    def count(self) -> int:
        return max(0, (self.stop - self.start) // self.step + 1)

    def values(self) -> Iterator[object]:
        numbers = (self.start + place * self.step for place in range(self.count))
        return (date.min + timedelta(days=number - 1) for number in numbers) if self.days else numbers


def _range_of(name: str, text: str, spec: TypeSpec) -> _Range | None:
    """Return the range that a text means; None where it is a value like any other."""
    days = False
    found = _NUMBERS.fullmatch(text)
    if found is not None:
        start, stop = int(found[1]), int(found[2])
        if not (_takes(spec, start) or _takes(spec, stop)):
            return None
    else:
        found, days = _DAYS.fullmatch(text), True
        if found is None or isinstance(spec, Anything):  # untyped, `2013-04-01` alone is a text as well
            return None
        try:
            first, last = date.fromisoformat(found[1]), date.fromisoformat(found[2])
        except ValueError:
            return None  # the declared type will say what is wrong
        if not _takes(spec, first):
            return None
        start, stop = first.toordinal(), last.toordinal()
    step = 1 if found[3] is None else int(found[3])
    if step == 0 or (stop - start) * step < 0:
        raise CallerError(
            f"a range of {name} is empty",
            expected=f"a step that leads from {found[1]} to {found[2]}",
            found=f"{text}, whose step is {step}",
            hint=f"Write {found[1]}..{found[2]}..-1 to count down." if step == 1 else None,
        )
    return _Range(start, stop, step, days)


def _takes(spec: TypeSpec, value: object) -> bool:
    return spec.check(spec.convert(value)) is None


def listed(name: str, values: object) -> tuple[object, ...]:
    """Return the values of a parameter that a program gave as a list, a range or another iterable.

    Raises:
        CallerError: a single value.
    """
    if not isinstance(values, str | bytes | Mapping):
        with suppress(TypeError):  # not iterable; arrays of no dimension only say so when they are asked
            return tuple(values)  # type: ignore[arg-type]
    raise CallerError(
        f"the values of {name} are no list",
        expected="a list, a range or another iterable of values",
        found=show(values),
        hint="What is the same for all runs goes into `parameters`.",
    )
