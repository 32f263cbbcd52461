"""Parameters whose files lie elsewhere now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["with_places"]


def with_places(name: str, value: Any, places: Mapping[str, Path], folder: Path) -> Any:
    """Return a parameter's value with the paths in it replaced that do not lead to where things lie; texts stay texts.

    Args:
        name: the parameter, or a part of it as inputs are named: `files[0]`, `tables['weather']`.
        value: its value.
        places: where things lie, by the name of the input.
        folder: the working directory, from which relative paths start.
    """
    if name in places:
        if os.path.normpath(folder / str(value)) == str(places[name]):
            return value
        return places[name] if isinstance(value, Path) else str(places[name])
    if isinstance(value, Mapping):
        return {key: with_places(f"{name}[{key!r}]", item, places, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_places(f"{name}[{index}]", item, places, folder) for index, item in enumerate(value))
    if isinstance(value, set | frozenset):
        return type(value)(with_places(f"{name}[{item!s}]", item, places, folder) for item in value)
    return value
