"""A notebook file's bytes, laid out as Jupyter lays them out (nbformat, `v4/nbjson.py`), many times as fast.

Python's own encoder falls back to a loop over every element as soon as an indent is asked for. Nearly all there is in
a large notebook are long texts, which stand there as lists of lines: those are split and encoded at one go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

import orjson

__all__ = ["file_bytes", "laid_out"]

_SPLIT_MIMES = ("application/javascript", "image/svg+xml")
_TRANSIENT = ("orig_nbformat", "orig_nbformat_minor", "signature")
_OTHER_BREAKS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""What `str.splitlines` takes for a line's end beside the line feed."""
_MARK = "\x7f"
"""A character that JSON does not escape: it stands for the line feeds while a text is encoded."""
_LARGE = 65_536
"""Characters from which on a piece is turned into bytes by itself, while it is still in the processor's cache."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """A text that stands in the file as the list of its lines."""

    text: str


def file_bytes(nb: Mapping[str, Any]) -> bytes:
    """Return the bytes of a notebook's file.

    Args:
        nb: nbformat 4.
    """
    return laid_out(_file_of(nb)) + b"\n"


def laid_out(value: Any) -> bytes:
    """Return what `json.dumps(value, indent=1, sort_keys=True, separators=(",", ": "), ensure_ascii=False)` returns.

    It is encoded as UTF-8; of a lone surrogate, its JSON escape.

    Args:
        value: JSON: objects with texts as keys, arrays, texts, numbers (NaN and infinities too), booleans, null.
    """
    layout = _Layout()
    layout.write(value, "\n")
    return layout.taken()


class _Layout:
    """Collects the text of a value."""

    __slots__ = ("_done", "_pieces")

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._pieces: list[str] = []

    def taken(self) -> bytes:
        """Return all that was written."""
        self._settle()
        return b"".join(self._done)

    def write(self, value: Any, line: str) -> None:
        """Write a value; `line` is the line break with the indent of where it stands."""
        if isinstance(value, str):
            self._add(encode_basestring(value))
        elif isinstance(value, _Lines):
            self._write_lines(value.text, line)
        elif isinstance(value, Mapping) and value:
            self._write_object(value, line)
        elif isinstance(value, list | tuple) and value:
            self._write_array(value, line)
        else:
            self._pieces.append(json.dumps(value))

    def _write_object(self, value: Mapping[str, Any], line: str) -> None:
        below, opening = f"{line} ", "{"
        for key in sorted(value):
            self._pieces += (opening, below, encode_basestring(key), ": ")
            self.write(value[key], below)
            opening = ","
        self._pieces += (line, "}")

    def _write_array(self, value: Sequence[Any], line: str) -> None:
        below = f"{line} "
        if {*map(type, value)} == {str}:
            self._pieces += ("[", below)
            self._add(f",{below}".join(map(encode_basestring, value)))
            self._pieces += (line, "]")
            return
        opening = "["
        for item in value:
            self._pieces += (opening, below)
            self.write(item, below)
            opening = ","
        self._pieces += (line, "]")

    def _write_lines(self, text: str, line: str) -> None:
        encoded = _encoded(text, f"{line} ") if len(text) >= _LARGE else None
        if encoded is None:
            self.write(text.splitlines(keepends=True), line)
            return
        self._pieces += ("[", line, " ")
        self._settle()
        self._done.append(encoded)
        self._pieces += (line, "]")

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        if len(text) >= _LARGE:
            self._settle()

    def _settle(self) -> None:
        # A lone surrogate becomes its JSON escape.
        self._done.append("".join(self._pieces).encode("utf-8", "backslashreplace"))
        self._pieces.clear()


def _encoded(text: str, line: str) -> bytes | None:
    """Return a text's lines as JSON texts with commas between them; None where that takes a closer look."""
    if _MARK in text or any(mark in text for mark in _OTHER_BREAKS):
        return None
    body = text.removesuffix("\n")
    try:
        encoded = orjson.dumps(body.replace("\n", _MARK))
    except TypeError:  # a lone surrogate
        return None
    encoded = encoded.replace(_MARK.encode(), f'\\n",{line}"'.encode())
    return encoded if body is text else encoded[:-1] + b'\\n"'


def _file_of(nb: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notebook as it stands in a file: texts as lists of lines, and nothing that belongs to one session.

    What nbformat 5.11 does before it writes (`v4/rwbase.py`, `split_lines` and `strip_transient`), without a copy of
    what stays as it is.
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
    return _Lines(text) if isinstance(text, str) else text
