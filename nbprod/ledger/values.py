"""How parameter and scrap values stand in the index: as a number or as a text.

The tagged form read here is that of `nbprod.parameters.codec` and `nbprod.scraps.tags`; an unknown tag is only indexed
differently, so it is no fault here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from nbprod.digest import Json

__all__ = ["IndexedValue", "Wanted", "index_value", "read_json", "wanted"]

LONGEST = 512
"""Characters of a text that the index keeps: longer ones are compared by their beginning."""

_MOST = 64 << 20
"""Characters of an event."""
_TAG = "$nbprod"
_UNSAFE = 2**53
_DIGITS = 400
_NUMERIC_TAGS = frozenset({"float", "int", "decimal"})
_WORDS = {"true": "true", "false": "false", "none": "null", "null": "null"}


@dataclass(frozen=True, slots=True)
class IndexedValue:
    """A value in the index: exactly one of the two is set."""

    number: float | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a condition looks for: any of the texts, or the number. Order is judged by the number where there is one."""

    number: float | None
    texts: tuple[str, ...]


def read_json(text: str) -> Json:
    """Read canonical JSON; integers beyond ±(2^53 - 1) are doubles, as RFC 8785 means them, so that they write back.

    Raises:
        ValueError: it is no text, no JSON, too large, or nested too deep.
    """
    if not isinstance(text, str):  # damage makes bytes or a number of what a database holds
        raise ValueError(f"what is kept is no text: {type(text).__name__}")  # noqa: TRY004 - it is no caller's fault
    if len(text) > _MOST:
        raise ValueError(f"{len(text)} characters, of {_MOST} at most")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON, from character {error.pos} on") from error
    except RecursionError as error:
        raise ValueError("lists or objects nested too deep") from error


def index_value(value: Json) -> IndexedValue:
    """Return how a value in tagged form is indexed.

    Numbers, and tagged numbers, as the nearest double; NaN, which no database can sort, as the text `nan`;
    `true`, `false` and `null` as these words; other tagged values by the text that their tag holds; lists and objects
    by their compact JSON.
    """
    if isinstance(value, dict) and _TAG in value:
        inner = value.get("value")
        if value[_TAG] in _NUMERIC_TAGS and isinstance(inner, str):
            number = _integer(inner) if value[_TAG] == "int" else _number(inner)
            return IndexedValue(number, None) if number is not None else _text(inner)
        value = inner  # of a tag without a value: `none`
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _double(value)
        return _text("nan") if math.isnan(number) else IndexedValue(number, None)
    return _text(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def wanted(value: str | float | bool | None) -> Wanted:  # noqa: FBT001  a value, not a switch
    """Return what a condition with this value looks for.

    Text that reads as a number finds numbers, too (`"0.1"` finds 0.1 and "0.1"), and the words for true, false and
    none find them in any case: what people type on a command line has no type.
    """
    if isinstance(value, str):
        word = _WORDS.get(value.lower())
        texts = (_cut(value), word) if word is not None and word != value else (_cut(value),)
        return Wanted(_number(value), texts)
    indexed = index_value(value)
    return Wanted(indexed.number, () if indexed.text is None else (indexed.text,))


def _text(text: str) -> IndexedValue:
    return IndexedValue(None, _cut(text))


def _cut(text: str) -> str:
    return text[:LONGEST].replace("\0", "\ufffd")  # PostgreSQL takes no NUL, and SQLite's functions stop at one


def _safe(digits: str) -> float:
    number = int(digits) if len(digits) < _DIGITS else float(digits)
    return number if abs(number) < _UNSAFE else float(number)


_DECODER = json.JSONDecoder(parse_int=_safe)


def _number(text: str) -> float | None:
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _integer(text: str) -> float | None:
    try:
        return _double(int(text, 0))  # huge ones are tagged in hex
    except ValueError:
        return None


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
