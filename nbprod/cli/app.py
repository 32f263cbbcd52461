"""The command group: finds commands without importing them all, and turns endings into exit codes."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from nbprod import __version__
from nbprod.cli import faults
from nbprod.errors import NbprodError

__all__ = ["COMMANDS", "nbprod"]

COMMANDS = (
    "run",
    "sweep",
    "runs",
    "show",
    "open",
    "logs",
    "cancel",
    "scraps",
    "describe",
    "diff",
    "explain",
    "lineage",
    "rerun",
    "reproduce",
    "steps",
    "publish",
    "step",
    "approve",
    "reject",
    "sign-off",
    "withdraw",
    "name",
    "tag",
    "untag",
    "note",
    "recover",
    "ledger",
    "warm",
    "gc",
    "erase",
    "keys",
    "checkpoint",
    "export",
    "verify",
    "secrets",
    "doctor",
)
_MODULES = {
    **dict.fromkeys(("name", "tag", "untag", "note"), "labels"),
    **dict.fromkeys(("approve", "reject", "sign-off", "withdraw"), "review"),
}


class _ReaderGone(Exception):
    """Whoever read our output has gone; click would make an exit code of 1 of the plain BrokenPipeError."""


class Application(click.Group):
    """A group whose commands are imported when they are asked for, and whose faults are told in one paragraph."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command's module and return the command; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"nbprod.cli.commands.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; return its exit code."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002, FBT001, FBT002 - click's signature
        windows_expand_args: bool = True,  # noqa: ARG002, FBT001, FBT002
        **extra: Any,
    ) -> NoReturn:
        """Run a command and exit with its code."""
        options = itertools.takewhile(lambda word: word.startswith("-"), sys.argv[1:] if args is None else args)
        debug = "--debug" in options or os.environ.get("NBPROD_DEBUG") == "1"
        try:
            code: Any = super().main(args, prog_name or "nbprod", complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            code = faults.show_usage(error)
        except (click.Abort, KeyboardInterrupt):
            code = faults.show_interrupt()
        except (BrokenPipeError, _ReaderGone):
            code = faults.leave_pipe()
        except NbprodError as error:
            code = faults.show_error(error, debug=debug)
        except Exception as error:  # noqa: BLE001 - the last door: whatever it is, it is told in one paragraph
            code = faults.show_bug(error, debug=debug)
        try:
            sys.stdout.flush()
        except OSError:
            faults.leave_pipe()
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=Application,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 good, 1 failed, 2 refused; see docs/reference/exit-codes.md.",
)
@click.version_option(__version__, prog_name="nbprod")
@click.option("--debug", is_flag=True, help="Show a trace with errors (also: NBPROD_DEBUG=1).")
def nbprod(*, debug: bool) -> None:  # read in `main`, which must know it whatever goes wrong
    """Run Jupyter notebooks in production: checked parameters, truthful records.

    A RUN is an id, the end of one (the 8 digits that are shown), its name, `@latest` or `STEP@latest`.
    """
