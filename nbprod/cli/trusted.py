"""The options by which it is told whose signatures count: shared by the commands that verify."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["trust_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


def _root_id(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Return the id of a root key, if it is a whole one: a shorter one would make a sound log look altered."""
    if text is not None and not re.fullmatch("[0-9a-f]{64}", text):
        raise click.BadParameter("it takes all 64 digits of the key's id, as `nbprod keys list --json` tells them.")
    return text


def trust_options(command: Command) -> Command:
    """Give a command the options that name a root key, or a list of keys, that is trusted."""
    keys = click.option(
        "--keys", type=click.File("rb"), help="A signed list of keys that you trust (`nbprod keys list --export`)."
    )
    root = click.option(
        "--root", metavar="KEY", callback=_root_id, help="The id of the root key that you trust, all 64 digits."
    )
    return root(keys(command))
