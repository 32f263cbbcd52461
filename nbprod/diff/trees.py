"""Two JSON values: where they differ, and how far apart their numbers are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.diff.tolerance import EXACT, Margin
from nbprod.digest import Json
from nbprod.parameters.codec import TAG

__all__ = ["Leaf", "changes", "number_of", "shown"]

_WIDTH = 80
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A place where two JSON values differ.

    Args:
        path: keys and indices, as in `model.steps[1].C`; empty for the values themselves.
        before: in words; `nothing` where it is not there.
        after: in words.
    """

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.path or 'value'}: {self.before} → {self.after}"


def changes(
    before: Json, after: Json, *, floats: Margin = EXACT, ints: Margin | None = EXACT, path: str = ""
) -> Iterator[Leaf]:
    """Yield where two JSON values differ, tagged numbers taken for what they are.

    An integer and a float, a truth value and a number are never equal: the types differ.

    Args:
        before: one value, not nested deeper than Python's stack bears.
        after: the other.
        floats: how far apart floats may be.
        ints: how far apart integers may be; None where they are floats without a fraction, as JSON writes them.
        path: where the values stand.
    """
    numbers = number_of(before), number_of(after)
    if numbers[0] is not None and numbers[1] is not None:
        if not _close(numbers[0], numbers[1], floats, ints):
            yield Leaf(path=path, before=shown(before), after=shown(after))
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        ints = None if _has_floats(before) and _has_floats(after) else ints
        for key in dict.fromkeys((*before, *after)):
            below = f"{path}.{key}" if path else str(key)
            yield from _below(before.get(key, _ABSENT), after.get(key, _ABSENT), floats, ints, below)
        return
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield Leaf(path=path, before=f"{len(before)} elements", after=f"{len(after)} elements")
        for place, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from changes(one, other, floats=floats, ints=ints, path=f"{path}[{place}]")
        return
    if type(before) is not type(after) or before != after:
        yield Leaf(path=path, before=shown(before), after=shown(after))


def _has_floats(value: Mapping[str, Any]) -> bool:
    """Tell whether these are an array's fields whose dtype says that its numbers are floats (see `storable`)."""
    return str(value.get("dtype")).startswith(("float", "complex")) and "shape" in value


def _below(before: Any, after: Any, floats: Margin, ints: Margin | None, path: str) -> Iterator[Leaf]:
    if before is _ABSENT or after is _ABSENT:
        yield Leaf(
            path=path,
            before="nothing" if before is _ABSENT else shown(before),
            after="nothing" if after is _ABSENT else shown(after),
        )
    else:
        yield from changes(before, after, floats=floats, ints=ints, path=path)


def number_of(value: Json) -> int | float | None:
    """Return the number that a JSON value is or, tagged, stands for; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping) and value.keys() == {TAG, "value"} and isinstance(value["value"], str):
        try:
            if value[TAG] == "float":
                return float(value["value"])
            return int(value["value"], 0) if value[TAG] == "int" else None
        except ValueError:
            return None
    return None


def _close(before: float, after: float, floats: Margin, ints: Margin | None) -> bool:
    kinds = isinstance(before, int), isinstance(after, int)
    if ints is not None and kinds[0] is not kinds[1]:
        return False
    try:
        if ints is not None and kinds[0]:
            apart, greater = abs(before - after), max(abs(before), abs(after))
            return apart <= ints.absolute or apart <= ints.relative * greater
        return floats.holds(float(before), float(after))
    except OverflowError:
        return False


def shown(value: Json) -> str:
    """Return a JSON value in one short line, tags undone."""
    number = number_of(value)
    inner = value.get("value") if isinstance(value, Mapping) and TAG in value else value
    if number is not None:
        inner = number
    text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
