"""A notebook file's text, laid out as Jupyter lays it out (nbformat, `v4/nbjson.py`), several times as fast.

Python's own encoder falls back to a loop over every element as soon as an indent is asked for. Nearly all there is in
a large notebook are lists of lines: those are encoded and joined in C here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

__all__ = ["file_of", "laid_out"]

_SPLIT_MIMES = ("application/javascript", "image/svg+xml")
_TRANSIENT = ("orig_nbformat", "orig_nbformat_minor", "signature")


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


def file_of(nb: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notebook as it stands in a file: texts as lists of lines, and nothing that belongs to one session.

    What nbformat 5.11 does before it writes (`v4/rwbase.py`, `split_lines` and `strip_transient`), without a copy of
    what stays as it is.

    Args:
        nb: nbformat 4.
    """
    about = {key: item for key, item in nb["metadata"].items() if key not in _TRANSIENT}
    return {**nb, "metadata": about, "cells": [_cell(cell) for cell in nb["cells"]]}


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    told = {**cell, "metadata": {key: item for key, item in cell["metadata"].items() if key != "trusted"}}
    if "source" in told:
        told["source"] = _lines(told["source"])
    if "attachments" in told:
        told["attachments"] = {name: _bundle(bundle) for name, bundle in told["attachments"].items()}
    if told["cell_type"] == "code":
        told["outputs"] = [_output(output) for output in told["outputs"]]
    return told


def _output(output: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = output["output_type"]
    if kind == "stream":
        return {**output, "text": _lines(output["text"])}
    if kind in ("execute_result", "display_data") and "data" in output:
        return {**output, "data": _bundle(output["data"])}
    return output


def _bundle(bundle: Mapping[str, Any]) -> dict[str, Any]:
    split = {mime for mime in bundle if mime.startswith("text/") or mime in _SPLIT_MIMES}
    return {mime: _lines(body) if mime in split else body for mime, body in bundle.items()}


def _lines(text: Any) -> Any:
    return text.splitlines(keepends=True) if isinstance(text, str) else text
