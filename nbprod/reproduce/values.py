"""Parameters whose files lie elsewhere now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["with_places"]


def with_places(name: str, value: Any, places: Mapping[str, Path]) -> Any:
    """Return a parameter's value with the paths in it replaced that lie elsewhere; texts stay texts.

    Args:
        name: the parameter, or a part of it as inputs are named: `files[0]`, `tables['weather']`.
        value: its value.
        places: where things lie now, by the name of the input.
    """
    if name in places:
        return places[name] if isinstance(value, Path) else str(places[name])
    if isinstance(value, Mapping):
        return {key: with_places(f"{name}[{key!r}]", item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_places(f"{name}[{index}]", item, places) for index, item in enumerate(value))
    if isinstance(value, set | frozenset):
        return type(value)(with_places(f"{name}[{item!s}]", item, places) for item in value)
    return value
