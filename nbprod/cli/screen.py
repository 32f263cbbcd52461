"""Where a command writes: a console on stdout, one on stderr, tables and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["errors", "output", "print_json", "table", "text"]

_PIPED_WIDTH = 200
"""Columns where no terminal tells: cells are not folded for a reader that is a program."""


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
    """Return a text that rich shows as it is."""
    return escape(value)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table with light lines; the columns in `right` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    return made


def print_json(value: Any) -> None:
    """Write JSON to stdout, two spaces deep; what it holds is in tagged form, so that NaN cannot occur."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
