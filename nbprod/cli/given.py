"""The options by which parameters are given, as papermill has them: shared by the commands that take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from nbprod.cli.inputs import GivenParameters

__all__ = ["given_values", "parameter_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--parameters", "-p", "texts", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter."),
    click.option(
        "--parameters_raw", "-r", "raw", nargs=2, multiple=True, metavar="NAME TEXT", help="A parameter, as text."
    ),
    click.option(
        "--parameters_file", "-f", "files", multiple=True, metavar="FILE", help="A YAML file; - is standard input."
    ),
    click.option("--parameters_yaml", "-y", "yaml", multiple=True, metavar="YAML", help="Parameters as YAML."),
    click.option(
        "--parameters_base64", "-b", "encoded", multiple=True, metavar="TEXT", help="Parameters as YAML in base64."
    ),
)


def parameter_options(command: Command) -> Command:
    """Give a command papermill's options for parameters."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


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
