"""A request's parameters with what they name as digests: equal on any machine, whatever the paths are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbprod.digest import Json

__all__ = ["with_pins"]


def with_pins(name: str, value: Json, pins: Mapping[str, Json]) -> Json:
    """Return a tagged parameter with each part that names an input replaced by the input's pin.

    Args:
        name: the parameter, or a part of it as inputs are named: `files[0]`, `tables['weather']`.
        value: its value, tagged.
        pins: by the name of the input.
    """
    if name in pins:
        return pins[name]
    if isinstance(value, list):
        return [with_pins(f"{name}[{index}]", item, pins) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "$nbprod" not in value:
        return {key: with_pins(f"{name}[{key!r}]", item, pins) for key, item in value.items()}
    return {**value, "value": _with_pins_inside(name, value["$nbprod"], value.get("value"), pins)}


def _with_pins_inside(name: str, kind: str, inner: Json, pins: Mapping[str, Json]) -> Json:
    """Return the inside of a tagged value with its pins."""
    if kind == "tuple":
        return with_pins(name, inner, pins)
    if kind in ("set", "frozenset"):
        return sorted((with_pins(f"{name}[{_text(item)}]", item, pins) for item in inner), key=str)
    if kind == "dict":
        return [[key, with_pins(f"{name}[{_key(key)}]", item, pins)] for key, item in inner]
    return inner


def _text(item: Json) -> str:
    return str(item["value"]) if isinstance(item, dict) and "value" in item else str(item)


def _key(item: Json) -> Any:
    return repr(item) if isinstance(item, str) else _text(item)
