"""The JSON form of plain values, fit for RFC 8785.

What JSON can't hold exactly is tagged: `{"$nbprod": "<type>", "value": …}`.
"""

from __future__ import annotations

import math
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from nbprod.digest import Json, canonical
from nbprod.errors import CallerError, UnsupportedVersion
from nbprod.parameters.duration import format_duration, parse_duration
from nbprod.parameters.plain import plain

__all__ = ["SAFE_INT", "TAG", "int_text", "is_text", "tag", "untag"]

TAG = "$nbprod"
SAFE_INT = 2**53 - 1
"""RFC 8785 knows IEEE-754 numbers only: integers beyond ±SAFE_INT are tagged."""

_BELOW_A_SECOND = re.compile(r"([+-])00:00:00\.([0-9]{6})\Z")
_HEX_BITS = 2_000
"""Python may refuse decimal texts of more than 640 digits (`sys.set_int_max_str_digits`), never hexadecimal ones."""


def tag(value: object) -> Json:
    """Return the JSON form of a value; `untag` gives back an equal value of equal types.

    Raises:
        CallerError: the value is not plain (see `plain.plain`).
    """
    return _tag(plain(value))


def untag(json: Json) -> Any:
    """Return the value of a JSON form that `tag` wrote.

    Raises:
        UnsupportedVersion: a tag that this version does not know.
        CallerError: a known tag around something else.
    """
    if isinstance(json, list):
        return [untag(item) for item in json]
    if not isinstance(json, dict):
        return json
    if TAG not in json:
        return {key: untag(item) for key, item in json.items()}
    reader = _READERS.get(json[TAG]) if isinstance(json[TAG], str) else None
    if reader is None:
        raise UnsupportedVersion("a value has a tag that this nbprod does not know", found=repr(json[TAG]))
    try:
        return reader(json)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise CallerError(f"a value tagged {json[TAG]} cannot be read", found=str(error)) from error


def is_text(value: str) -> bool:
    """Tell whether the string is Unicode text: without lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tag(value: Any) -> Json:  # noqa: PLR0911 - a table of kinds
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list):
        return [_tag(item) for item in value]
    if isinstance(value, str):
        return value if is_text(value) else _tagged("str", _base64(value.encode("utf-8", "surrogatepass")))
    if isinstance(value, int):
        return value if abs(value) <= SAFE_INT else _tagged("int", int_text(value))
    if isinstance(value, float):
        return value if math.isfinite(value) and not value.is_integer() else _tagged("float", repr(value))
    if isinstance(value, dict):
        return _tag_dict(value)
    name, write = next((name, write) for kind, name, write in _WRITERS if isinstance(value, kind))
    written = write(value)
    return {TAG: name, **written} if name in {"datetime", "time"} else _tagged(name, written)


def _tagged(name: str, value: Json) -> Json:
    return {TAG: name, "value": value}


def _tag_dict(value: dict[Any, Any]) -> Json:
    if TAG not in value and all(isinstance(key, str) and is_text(key) for key in value):
        return {key: _tag(item) for key, item in value.items()}
    pairs = [[_tag(key), _tag(item)] for key, item in value.items()]
    return _tagged("dict", sorted(pairs, key=lambda pair: canonical(pair[0])))


def _sorted(items: set[Any] | frozenset[Any]) -> Json:
    """Order the elements by their canonical bytes, so that equal sets have equal digests."""
    return sorted((_tag(item) for item in items), key=canonical)


def _moment(value: datetime | time) -> dict[str, Json]:
    """Write ISO 8601 text, with the zone's key, its own name and the fold where they say more than the text."""
    zone = value.tzinfo
    written: dict[str, Json] = {}
    if isinstance(zone, ZoneInfo):
        written = {"value": value.replace(tzinfo=None).isoformat(), "zone": zone.key}
    else:
        written = {"value": value.isoformat()}
        if isinstance(zone, timezone) and zone.tzname(None) != timezone(zone.utcoffset(None)).tzname(None):
            written["zone_name"] = _tag(zone.tzname(None))
    return written | ({"fold": value.fold} if value.fold else {})


def _with_zone(value: Any, json: Mapping[str, Json]) -> Any:
    zone: tzinfo | None = value.tzinfo
    if (offset := _BELOW_A_SECOND.search(json["value"])) is not None:  # for Python's `fromisoformat`, it is UTC
        zone = timezone(timedelta(microseconds=int(offset[1] + offset[2])))
    if "zone" in json:
        zone = ZoneInfo(json["zone"])
    elif "zone_name" in json and zone is not None:
        known = zone.utcoffset(None)
        if known is None:
            raise ValueError("a named zone without an offset")
        zone = timezone(known, untag(json["zone_name"]))
    return value.replace(tzinfo=zone, fold=json.get("fold", 0))


def int_text(value: int) -> str:
    """Return the decimal text of an integer, or the hexadecimal one where decimal might be refused."""
    return hex(value) if value.bit_length() > _HEX_BITS else str(value)


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


_WRITERS: tuple[tuple[type, str, Callable[[Any], Json]], ...] = (
    (tuple, "tuple", lambda v: [_tag(item) for item in v]),
    (set, "set", _sorted),
    (frozenset, "frozenset", _sorted),
    (bytes, "bytes", _base64),
    (complex, "complex", lambda v: [repr(v.real), repr(v.imag)]),
    (datetime, "datetime", _moment),
    (date, "date", date.isoformat),
    (time, "time", _moment),
    (timedelta, "timedelta", format_duration),
    (Decimal, "decimal", str),
    (UUID, "uuid", str),
    (Path, "path", lambda v: _tag(os.fspath(v))),
)

_READERS: dict[str, Callable[[dict[str, Json]], Any]] = {
    "str": lambda j: b64decode(j["value"], validate=True).decode("utf-8", "surrogatepass"),
    "int": lambda j: int(j["value"], 0),
    "float": lambda j: float(j["value"]),
    "dict": lambda j: {untag(key): untag(item) for key, item in j["value"]},
    "tuple": lambda j: tuple(untag(item) for item in j["value"]),
    "set": lambda j: {untag(item) for item in j["value"]},
    "frozenset": lambda j: frozenset(untag(item) for item in j["value"]),
    "bytes": lambda j: b64decode(j["value"], validate=True),
    "complex": lambda j: complex(float(j["value"][0]), float(j["value"][1])),
    "datetime": lambda j: _with_zone(datetime.fromisoformat(j["value"]), j),
    "date": lambda j: date.fromisoformat(j["value"]),
    "time": lambda j: _with_zone(time.fromisoformat(j["value"]), j),
    "timedelta": lambda j: parse_duration(j["value"]),
    "decimal": lambda j: Decimal(j["value"]),
    "uuid": lambda j: UUID(j["value"]),
    "path": lambda j: Path(untag(j["value"])),
}
