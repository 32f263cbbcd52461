"""A notebook file's text, laid out as Jupyter lays it out (nbformat, `v4/nbjson.py`), several times as fast.

Python's own encoder falls back to a loop over every element as soon as an indent is asked for. Nearly all there is in
a large notebook are lists of lines: those are encoded and joined in C here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

__all__ = ["laid_out"]


def laid_out(value: Any) -> str:
    """Return what `json.dumps(value, indent=1, sort_keys=True, separators=(",", ": "), ensure_ascii=False)` returns.

    Args:
        value: JSON: objects with texts as keys, arrays, texts, numbers (NaN and infinities too), booleans, null.
    """
    pieces: list[str] = []
    _write(value, "\n", pieces)
    return "".join(pieces)


def _write(value: Any, line: str, pieces: list[str]) -> None:
    """Append a value's text; `line` is the line break with the indent of where it stands."""
    if isinstance(value, str):
        pieces.append(encode_basestring(value))
    elif isinstance(value, Mapping) and value:
        _write_object(value, line, pieces)
    elif isinstance(value, list | tuple) and value:
        _write_array(value, line, pieces)
    else:
        pieces.append(json.dumps(value))


def _write_object(value: Mapping[str, Any], line: str, pieces: list[str]) -> None:
    below, opening = f"{line} ", "{"
    for key in sorted(value):
        pieces += (opening, below, encode_basestring(key), ": ")
        _write(value[key], below, pieces)
        opening = ","
    pieces += (line, "}")


def _write_array(value: Sequence[Any], line: str, pieces: list[str]) -> None:
    below = f"{line} "
    if {*map(type, value)} == {str}:
        pieces += ("[", below, f",{below}".join(map(encode_basestring, value)), line, "]")
        return
    opening = "["
    for item in value:
        pieces += (opening, below)
        _write(item, below, pieces)
        opening = ","
    pieces += (line, "]")
