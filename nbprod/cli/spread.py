"""The settings of a sweep from the command line: lists behind `-p`, and rows of a CSV file."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbprod.errors import CallerError

if TYPE_CHECKING:
    from nbprod.parameters import Schema
    from nbprod.parameters.grid import Axis

__all__ = ["settings_given"]

_STDIN = "-"


def settings_given(
    schema: Schema,
    *,
    lists: Sequence[str],
    raw: Sequence[str],
    file: str | None,
    paired: bool,
    most: int,
) -> list[dict[str, Any]]:
    """Return the settings that the options span, each a mapping of what was given for it.

    Args:
        schema: tells what ranges mean.
        lists: `NAME=VALUES`.
        raw: `NAME=TEXT`, a text as it is.
        file: a CSV file with a row per run; `-` is standard input.
        paired: pair the lists instead of combining them.
        most: how many settings there may be.

    Raises:
        CallerError: lists, rows or their number are wrong.
        click.UsageError: an option without a name.
    """
    from nbprod.parameters.grid import expand  # noqa: PLC0415 - `--help` must stay fast

    axes = [_axis(schema, text, most) for text in lists] + [_raw_axis(text) for text in raw]
    return list(expand(axes, [{}] if file is None else _rows(file), paired=paired, most=most))


def _axis(schema: Schema, text: str, most: int) -> Axis:
    from nbprod.parameters.grid import Axis, values_in  # noqa: PLC0415
    from nbprod.parameters.types import ANY  # noqa: PLC0415

    name, values = _named(text, "-p", "NAME=VALUES, e.g. -p alpha=0.1,1,10 -p seed=0..9")
    parameter = schema.get(name)
    return Axis(name, values_in(name, values, ANY if parameter is None else parameter.accepts, most=most))


def _raw_axis(text: str) -> Axis:
    from nbprod.parameters.grid import Axis  # noqa: PLC0415

    name, value = _named(text, "-r", "NAME=TEXT")
    return Axis(name, (value,))


def _named(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not equals or not name.strip():
        raise click.UsageError(f"{option} {text!r} is not of the form {form} (`nbprod run` takes two words there).")
    return name.strip(), rest


def _rows(file: str) -> list[Mapping[str, Any]]:
    """Return the rows of a CSV file; an empty cell gives nothing, so that the default counts."""
    from nbprod.parameters import Text  # noqa: PLC0415

    delimiter = "\t" if file.endswith(".tsv") else ","
    reader = csv.reader(io.StringIO(_read(file), newline=""), delimiter=delimiter, strict=True)
    try:
        head = [name.strip() for name in next(reader, [])]
        _refuse_head(head, file)
        rows: list[Mapping[str, Any]] = []
        for cells in reader:
            if not cells:
                continue  # an empty line
            if len(cells) != len(head):
                raise CallerError(
                    f"line {reader.line_num} of {file} does not fit its first line",
                    expected=f"{len(head)} cells: {', '.join(head)}",
                    found=f"{len(cells)}",
                )
            rows.append({name: Text(cell) for name, cell in zip(head, cells, strict=True) if cell})
    except csv.Error as error:
        raise CallerError(f"{file} is no CSV", found=f"line {reader.line_num}: {error}") from error
    if not rows:
        raise CallerError(
            f"{file} has no rows", expected="the parameters' names in the first line, then a line per run"
        )
    return rows


def _refuse_head(head: Sequence[str], file: str) -> None:
    twice = next((name for name in head if head.count(name) > 1), None)
    if not head or "" in head or twice is not None:
        raise CallerError(
            f"the first line of {file} does not name the parameters",
            expected="a name for each column, each once",
            found=f"{twice} twice" if twice else ", ".join(map(repr, head)) or "an empty file",
        )


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CallerError(f"{file} cannot be read", found=found) from error
