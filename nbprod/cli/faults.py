"""What people read when something goes wrong: one paragraph; a trace only when they ask for it."""

from __future__ import annotations

import os
import sys
import traceback

import click

from nbprod.cli import exit_codes
from nbprod.errors import NbprodError
from nbprod.printable import printable

__all__ = ["leave_pipe", "show_bug", "show_error", "show_interrupt", "show_usage"]


def show_error(error: NbprodError, *, debug: bool) -> int:
    """Show an error that nbprod raised on purpose; return its exit code."""
    if debug:
        _trace(error)
    _say("Error", str(error))
    return error.exit_code


def show_bug(error: Exception, *, debug: bool) -> int:
    """Show an error that nobody foresaw; return its exit code."""
    if debug:
        _trace(error)
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    hint = "" if debug else " Run the command again with `nbprod --debug …` and report what it prints."
    _say("Error", f"this is a bug in nbprod: {text}.{hint}")
    return exit_codes.BUG


def show_usage(error: click.ClickException) -> int:
    """Show what is wrong with a command line; return its exit code."""
    error.show()
    return exit_codes.REFUSED


def show_interrupt() -> int:
    """Tell that Ctrl-C ended the command; return its exit code."""
    click.echo("Interrupted.", err=True)
    return exit_codes.INTERRUPTED


def leave_pipe() -> int:
    """End quietly when the reader of our output has gone (`nbprod runs | head`); return the exit code.

    Python would complain once more while it flushes stdout at its end, so stdout is given another place to go.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # a stdout without a descriptor
        return 0
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
    return 0


def _say(label: str, text: str) -> None:
    click.echo(f"{click.style(label + ':', fg='red', bold=True)} {printable(text)}", err=True)


def _trace(error: BaseException) -> None:
    click.echo("".join(traceback.format_exception(error)), err=True)
