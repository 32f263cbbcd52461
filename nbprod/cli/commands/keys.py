"""`nbprod keys`: who may sign what in this project's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import click

if TYPE_CHECKING:
    from nbprod.attest.keyfile import KeyFile
    from nbprod.project.keys import Change

__all__ = ["keys"]

_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
_ROLES = ("runner", "reviewer", "promoter", "checkpoint")


@click.group()
def keys() -> None:
    """Look after the keys that sign.

    `init` gives this project's log keys of its own, `new` makes a key of yours, `add` gives a key a role, `rotate`
    replaces one, `revoke` takes its roles away, `list` shows them. Private keys lie in one folder of yours; the list of
    keys is in the ledger, signed by the root key.
    """


@keys.command()
@_JSON
def init(*, as_json: bool) -> int:
    """Make the keys root, runner and checkpoint, and begin the log's list of keys."""
    from nbprod.cli.session import open_project  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.project.keys import init_keys  # noqa: PLC0415

    return _show(init_keys(open_project(recover=False)), as_json=as_json)


@keys.command()
@click.argument("role", type=click.Choice(_ROLES))
@click.option("--public", type=click.File("wb"), help="Write the public half to a file instead of the screen.")
@_JSON
def new(role: str, public: BinaryIO | None, *, as_json: bool) -> int:
    """Make a key of your own, and show its public half.

    Send that to who holds the log's root key: `nbprod keys add ROLE --public FILE` lets yours sign. A key that is there
    already is shown and not replaced.
    """
    from nbprod.attest.keyfile import Role  # noqa: PLC0415
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.keys import keyring_of, new_key  # noqa: PLC0415

    project = open_project(recover=False)
    held, made = new_key(project, Role(role))
    pem = held.key.public.to_pem()
    if public is not None:
        public.write(pem)
    if as_json:
        print_json({"key": held.key.public.id, "made": made, "public": pem.decode()})
        return 0
    path = keyring_of(project).folder / f"{held.name}.pem"
    click.echo(f"{'Made' if made else 'There is'} the key {held.key.public.id[:16]} in {path}.", err=True)
    if public is None:
        click.echo(pem.decode(), nl=False)
    return 0


@keys.command()
@click.argument("role", type=click.Choice(_ROLES))
@click.option("--public", type=click.File("rb"), help="Somebody else's public key, in PEM; else one of yours is made.")
@click.option("--label", help="What it is to be called; it stays.")
@click.option(
    "--from", "first", type=click.IntRange(0), metavar="PLACE", help="The first place of the log; from now on."
)
@_JSON
def add(role: str, public: BinaryIO | None, label: str | None, first: int | None, *, as_json: bool) -> int:
    """Give a key a role."""
    from nbprod.attest.keyfile import Role  # noqa: PLC0415
    from nbprod.attest.keys import PublicKey  # noqa: PLC0415
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.keys import add_key  # noqa: PLC0415

    key = None if public is None else PublicKey.from_pem(public.read())
    made = add_key(open_project(recover=False), Role(role), public=key, label=label, first=first)
    return _show(made, as_json=as_json)


@keys.command()
@click.argument("role", type=click.Choice((*_ROLES, "root")))
@_JSON
def rotate(role: str, *, as_json: bool) -> int:
    """Replace a key by a new one; what the old one signed stays signed."""
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.keys import rotate_key  # noqa: PLC0415

    return _show(rotate_key(open_project(recover=False), role), as_json=as_json)


@keys.command()
@click.argument("key")
@click.option(
    "--from",
    "end",
    type=click.IntRange(0),
    metavar="PLACE",
    help="Its signatures count no more from there; from now on.",
)
@_JSON
def revoke(key: str, end: int | None, *, as_json: bool) -> int:
    """Take all roles from a key, by the beginning of its id."""
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.keys import revoke_key  # noqa: PLC0415

    return _show(revoke_key(open_project(recover=False), key, end=end), as_json=as_json)


@keys.command("list")
@click.option("--export", type=click.File("wb"), help="Write the signed list to a file, for those who verify.")
@_JSON
def list_(export: BinaryIO | None, *, as_json: bool) -> int:
    """Show which keys may sign what, and where in the log."""
    from nbprod.cli.screen import output, print_json, table  # noqa: PLC0415
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.errors import NotFound  # noqa: PLC0415
    from nbprod.ledger.log import NoteKind  # noqa: PLC0415
    from nbprod.project.keys import own_keys  # noqa: PLC0415
    from nbprod.verify import read_trust  # noqa: PLC0415

    project = open_project(recover=False)
    log = ledger_of(project).log
    current, own = read_trust(log).current, own_keys(project)
    if export is not None:
        if current is None:
            raise NotFound("this log has no list of keys yet", hint="Begin one with `nbprod keys init`.")
        export.write([note.body for note in log.notes(NoteKind.KEYS)][-1].encode())
    if as_json:
        held = {key_id: name for key_id, (name, _) in own.items()}
        print_json({"list": None if current is None else current.to_json(), "here": held})
        return 0
    shown = table("key", "called", "may sign as", "places", "here")
    rows = [] if current is None else _rows(current)
    listed = {row[0] for row in rows}
    rows += [(key_id, "", "", "") for key_id in own if key_id not in listed]
    for key_id, label, role, places in rows:
        here = f"{own[key_id][0]}.pem" if key_id in own else ""
        shown.add_row(key_id[:16], escaped(label), role, places, escaped(here))
    output().print(shown)
    if current is None:
        click.echo("This log has no list of keys yet: `nbprod keys init` begins one.", err=True)
    return 0


def _rows(current: KeyFile) -> list[tuple[str, str, str, str]]:
    rows = [(current.root, current.keys[current.root].label, "root", "")]
    for role, term in current:
        last = "…" if term.end is None else str(term.end - 1)
        places = "none" if term.first == term.end else f"{term.first} to {last}"
        rows.append((term.key_id, current.keys[term.key_id].label, str(role), places))
    return rows


def _show(made: Change, *, as_json: bool) -> int:
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.printable import printable  # noqa: PLC0415

    if as_json:
        told: dict[str, Any] = {"list": made.keys.to_json(), "done": list(made.told)}
        print_json(told)
        return 0
    for line in made.told or ("Nothing was to be done.",):
        click.echo(printable(line[:1].upper() + line[1:]))
    return 0
