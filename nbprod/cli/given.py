"""The options by which parameters are given, and how a run is to be made: shared by the commands that take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nbprod.cli.inputs import GivenParameters

if TYPE_CHECKING:
    from nbprod.project import RunOptions

__all__ = ["file_options", "given_values", "how_options", "options_asked", "parameter_options", "refuse_deadlines"]

Command = TypeVar("Command", bound=Callable[..., Any])

_TEXTS = (
    click.option("--parameters", "-p", "texts", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter."),
    click.option(
        "--parameters_raw", "-r", "raw", nargs=2, multiple=True, metavar="NAME TEXT", help="A parameter, as text."
    ),
)
_FILES = (
    click.option(
        "--parameters_file", "-f", "files", multiple=True, metavar="FILE", help="A YAML file; - is standard input."
    ),
    click.option("--parameters_yaml", "-y", "yaml", multiple=True, metavar="YAML", help="Parameters as YAML."),
    click.option(
        "--parameters_base64", "-b", "encoded", multiple=True, metavar="TEXT", help="Parameters as YAML in base64."
    ),
)
_DEADLINES = (
    click.option("--timeout", type=float, metavar="SECONDS", help="For all cells together."),
    click.option(
        "--cell-timeout", "--execution-timeout", "cell_timeout", type=float, metavar="SECONDS", help="For each cell."
    ),
    click.option(
        "--start-timeout",
        "--start_timeout",
        "start_timeout",
        type=float,
        metavar="SECONDS",
        help="For the kernel to answer.",
    ),
)
_HOW = (
    click.option("--kernel", "-k", metavar="NAME", help="Kernel to run on instead of the notebook's."),
    click.option("--driver", type=click.Choice(["lean", "nbclient"]), help="Who executes the cells.  [default: lean]"),
    click.option(
        "--cwd", metavar="FOLDER", help="Working directory.  [default: the step's, else the notebook's folder]"
    ),
    *_DEADLINES,
    click.option("--tag", "tags", multiple=True, help="A word to find the run by; may be repeated."),
    click.option("--note", help="A note for people."),
    click.option(
        "--reuse/--no-reuse", default=None, help="Let an earlier run answer if nothing has changed.  [default: no]"
    ),
    click.option("--report-mode/--no-report-mode", default=False, help="Hide the code in the executed notebook."),
)


def _given(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def parameter_options(command: Command) -> Command:
    """Give a command papermill's options for parameters."""
    return _given(command, (*_TEXTS, *_FILES))


def file_options(command: Command) -> Command:
    """Give a command those of them that take YAML."""
    return _given(command, _FILES)


def how_options(command: Command) -> Command:
    """Give a command the options that say how a run differs from what its step's settings say."""
    return _given(command, _HOW)


def refuse_deadlines(asked: Mapping[str, Any]) -> None:
    """Refuse deadlines that are none.

    Raises:
        click.UsageError: one is not above 0.
    """
    for name in ("timeout", "cell_timeout", "start_timeout"):
        if asked[name] is not None and not asked[name] > 0:
            raise click.UsageError(f"--{name.replace('_', '-')} must be more than 0 seconds.")


def options_asked(asked: Mapping[str, Any], *, name: str | None) -> RunOptions:
    """Return how a run is to differ from what its step's settings say.

    Args:
        asked: what `how_options` gave.
        name: the run's name.
    """
    from nbprod.project import RunOptions  # noqa: PLC0415 - `--help` must stay fast

    return RunOptions(
        name=name,
        tags=asked["tags"],
        note=asked["note"],
        cwd=None if asked["cwd"] is None else Path(asked["cwd"]),
        kernel=asked["kernel"],
        driver=asked["driver"],
        timeout=asked["timeout"],
        cell_timeout=asked["cell_timeout"],
        start_timeout=asked["start_timeout"],
        report_mode=asked["report_mode"],
        reuse=asked["reuse"],
    )


def given_values(asked: Mapping[str, Any], injected: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values that the options gave, the later before the earlier."""
    given = GivenParameters(
        injected=dict(injected or {}),
        encoded=asked["encoded"],
        files=asked["files"],
        yaml=asked["yaml"],
        texts=asked["texts"],
        raw=asked["raw"],
    )
    return dict(given.values())
