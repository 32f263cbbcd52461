"""The help texts in the documentation: `python -m nbprod.cli.reference docs/reference/cli.md` writes them anew.

The page is written by people; only the block after each line `<!-- help: COMMAND -->` is replaced.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from nbprod.cli.app import COMMANDS, nbprod

__all__ = ["help_text", "with_help"]

_WIDTH = 92
_BLOCK = re.compile(r"(<!-- help: ([\w-]+) -->\n)```text\n.*?```\n", re.DOTALL)
_WHOLE = "nbprod"


def help_text(name: str) -> str:
    """Return what `nbprod NAME --help` shows on a terminal of 92 columns; `nbprod` is the group itself.

    Raises:
        KeyError: there is no such command.
    """
    whole = nbprod.make_context(_WHOLE, [], resilient_parsing=True, terminal_width=_WIDTH, max_content_width=_WIDTH)
    if name == _WHOLE:
        return nbprod.get_help(whole)
    command = nbprod.get_command(whole, name)
    if command is None:
        raise KeyError(name)
    return command.get_help(click.Context(command, info_name=name, parent=whole))


def with_help(page: str) -> str:
    """Return the page with the help texts of today."""
    return _BLOCK.sub(lambda found: f"{found[1]}```text\n{help_text(found[2])}\n```\n", page)


def missing(page: str) -> list[str]:
    """Return the commands that the page does not show."""
    there = {found[2] for found in _BLOCK.finditer(page)}
    return [name for name in (_WHOLE, *COMMANDS) if name not in there]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_help(path.read_text("utf-8")), "utf-8")
