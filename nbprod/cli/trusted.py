"""The options by which it is told whose signatures count: shared by the commands that verify."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, TypeVar

import click

__all__ = ["read_checkpoints", "trust_options"]

_MOST = 1 << 20
"""Bytes of a file that is given: a list of keys, or a checkpoint."""

Command = TypeVar("Command", bound=Callable[..., Any])


def _root_id(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Return the id of a root key, if it is a whole one: a shorter one would make a sound log look altered."""
    if text is not None and re.fullmatch("[0-9a-fA-F]{64}", text):
        return text.lower()
    if text is not None:
        raise click.BadParameter("it takes all 64 digits of the key's id, as `nbprod keys list --json` tells them.")
    return text


def _key_list(_: click.Context, __: click.Parameter, file: BinaryIO | None) -> bytes | None:
    """Return the bytes of a signed list of keys; whether they are what was signed is told by verifying."""
    if file is None:
        return None
    from nbprod.attest.keyfile import KeyFile  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.errors import IntegrityError, SignatureInvalid  # noqa: PLC0415

    data = _read(file)
    try:
        KeyFile.open(data)
    except SignatureInvalid:
        pass
    except IntegrityError as error:
        told = f"{file.name} is no list of keys as `nbprod keys list --export` writes it: {error}"
        raise click.BadParameter(told) from error
    return data


def read_checkpoints(_: click.Context, __: click.Parameter, files: Sequence[BinaryIO]) -> list[str]:
    """Return the text of checkpoints; whether they are signed is told by verifying."""
    notes = [(file.name, _read(file).decode("utf-8-sig", errors="replace")) for file in files]
    return [_checkpoint(name, _as_sent(note)) for name, note in notes]


def _read(file: BinaryIO) -> bytes:
    with file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise click.BadParameter(f"{file.name} has more than {_MOST:,} bytes.")
    return data


def _as_sent(text: str) -> str:
    """Return a note without what mail and editors do to it: other ends of lines, blanks there, `> ` before each."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if all(line.startswith(">") for line in lines):
        lines = [line[1:].removeprefix(" ") for line in lines]
    return "\n".join(lines) + "\n"


def _checkpoint(name: str, note: str) -> str:
    from nbprod.attest.checkpoint import Checkpoint  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.errors import IntegrityError  # noqa: PLC0415

    try:
        Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
    except IntegrityError as error:
        told = f"{name} is no signed checkpoint as `nbprod checkpoint --to` writes it: {error}"
        raise click.BadParameter(told) from error
    return note


def trust_options(command: Command) -> Command:
    """Give a command the options that name a root key, or a list of keys, that is trusted."""
    keys = click.option(
        "--keys",
        type=click.File("rb"),
        callback=_key_list,
        help="A signed list of keys that you trust (`nbprod keys list --export`).",
    )
    root = click.option(
        "--root", metavar="KEY", callback=_root_id, help="The id of the root key that you trust, all 64 digits."
    )
    return root(keys(command))
