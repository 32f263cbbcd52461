"""Where a command writes: a console on stdout, one on stderr, tables and JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nbprod.printable import printable

__all__ = ["Screen", "errors", "json_text", "output", "print_json", "print_rows", "table", "text"]

_PIPED_WIDTH = 200
"""Columns where no terminal tells: cells are not folded for a reader that is a program."""


_GAP = 2
"""Columns between two columns of a table."""
_LEAST = 16
"""Columns below which a text is better left out than cut."""
_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON may hold as it is, and drives a terminal, turns its lines around, or is in no encoding."""


class Screen(Console):
    """A console that leaves broken pipes to the application: rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Pass it on."""
        raise BrokenPipeError


def output() -> Console:
    """Return a console on stdout."""
    return _console(sys.stdout)


def errors() -> Console:
    """Return a console on stderr."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    terminal = stream.isatty()
    return Screen(
        file=stream, highlight=False, soft_wrap=not terminal, width=None if terminal else _PIPED_WIDTH, emoji=False
    )


def text(value: str) -> str:
    """Return a text that rich shows as it is, but for what would drive the terminal (see `printable`)."""
    return escape(printable(value))


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table with light lines; the columns in `right` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    return made


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], *, yielding: Sequence[str] = ()) -> None:
    """Print a table of one line per row to stdout, without the columns that are empty throughout.

    Args:
        columns: their heads; durations stand in `took`, aligned to the right.
        rows: rich markup.
        yielding: the columns that are cut, or left out, where the terminal is too narrow; the first of them first.
    """
    console = output()
    shown = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    widths = [max(Text.from_markup(row[place]).cell_len for row in (columns, *rows)) for place in range(len(columns))]
    for name in yielding:
        place = columns.index(name)
        excess = sum(widths[each] + _GAP for each in shown) - console.width
        if excess <= 0 or place not in shown:
            continue
        if widths[place] - excess >= _LEAST:
            widths[place] -= excess
        else:
            shown.remove(place)
    made = table()
    for place in shown:
        head = columns[place]
        made.add_column(head, justify="right" if head == "took" else "left", no_wrap=True, max_width=widths[place])
    for row in rows:
        made.add_row(*(row[place] for place in shown))
    console.print(made)


def print_json(value: Any) -> None:
    """Write JSON to stdout, two spaces deep; what it holds is in tagged form, so that NaN cannot occur."""
    click.echo(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON that a person may look at in a terminal: what is not to be seen is escaped."""
    told = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", told)
