"""`nbprod ledger`: bring it up to date, carry it from database to database, make it anew, check it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from nbprod.project import Project

__all__ = ["ledger"]

_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.group()
def ledger() -> None:
    """Look after the ledger: migrate, copy, rebuild, check.

    `migrate` brings its schema up to date. `export FILE` writes its events as lines of JSON, `import FILE` takes them
    over. `rebuild` makes a ledger that was lost anew from the records in the store. `check` compares its index with its
    events, and what they name with the store.
    """


@ledger.command()
@_JSON
def migrate(*, as_json: bool) -> int:
    """Bring the ledger's schema up to date; make a ledger where there is none.

    Every command that opens the ledger does so on its way.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.ledger.schema import HEAD  # noqa: PLC0415

    opened = _project().home.ledger
    before = getattr(opened, "migrated_from", None)
    if as_json:
        print_json({"ledger": opened.url, "from": HEAD if before is None else before or None, "to": HEAD})
    elif before is None:
        click.echo(f"The ledger {opened.url} is up to date: schema {HEAD}.")
    else:
        click.echo(f"The ledger {opened.url} was brought from {f'schema {before}' if before else 'nothing'} to {HEAD}.")
    return 0


@ledger.command()
@click.argument("file", type=click.File("wb"))
def export(file: BinaryIO) -> int:
    """Write all events to FILE, as lines of JSON; - is standard output."""
    from nbprod.cli.session import ledger_of  # noqa: PLC0415
    from nbprod.ledger.transfer import exported  # noqa: PLC0415

    count = 0
    for line in exported(ledger_of(_project())):
        file.write(line)
        count += 1
    click.echo(f"Exported {count} events.", err=True)
    return 0


@ledger.command("import")
@click.argument("file", type=click.File("rb"))
@_JSON
def import_(file: BinaryIO, *, as_json: bool) -> int:
    """Take over the events in FILE; - is standard input.

    The ledger must be empty, or hold the beginning of the same events: then only the rest is taken over. A run that is
    still open gets a new lease here, but its runner goes on telling the other ledger: export when no run is open.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.ledger import RunQuery  # noqa: PLC0415
    from nbprod.ledger.transfer import import_lines  # noqa: PLC0415

    into = _project().home.ledger
    total, new = import_lines(into, file)
    if as_json:
        print_json({"events": total, "new": new, "ledger": into.url})
        return 0
    click.echo(f"Imported {new} of {total} events into {into.url}; {total - new} were there already.")
    going = sum(1 for _ in into.runs(RunQuery(running=True)))
    if going:
        click.echo(
            f"{going} runs are open; if their runners tell another ledger, they will end as crashed here.", err=True
        )
    return 0


@ledger.command()
@click.option("--from-store", metavar="STORE", help="The store to read: a folder or an address; the project's own.")
@_JSON
def rebuild(from_store: str | None, *, as_json: bool) -> int:
    """Make a ledger that was lost anew, from the records in the store.

    The project's ledger must be empty. What no record holds is lost, and is listed. Corrupt objects are named and
    skipped; the exit code is 4 where there are any, or where bytes are missing that a record names.
    """
    from nbprod.cli.progress import counting  # noqa: PLC0415
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.errors import IntegrityError  # noqa: PLC0415
    from nbprod.printable import printable  # noqa: PLC0415
    from nbprod.project.rebuild import LOST  # noqa: PLC0415
    from nbprod.project.rebuild import rebuild as rebuilt  # noqa: PLC0415
    from nbprod.store import open_store  # noqa: PLC0415

    home = _project().home
    store = home.store if from_store is None else open_store(from_store, base=Path.cwd())
    with counting("objects") as (looked,):
        made = rebuilt(home.ledger, store, looked)
    if as_json:
        counts = {"objects": made.objects, "events": made.events, "runs": made.runs, "versions": made.versions}
        counts |= {"reviews": made.reviews}
        print_json({**counts, "faults": made.faults, "aside": made.aside, "lost": list(LOST)})
        return IntegrityError.exit_code if made.faults else 0
    for line in (*made.faults, *made.aside):
        click.echo(printable(line))
    click.echo(
        f"Found {made.runs} runs and {made.versions} versions of steps in {made.objects} objects of {store.url}."
    )
    click.echo(f"Appended {made.events} events to {home.ledger.url}.")
    click.echo("Lost, as no record holds it: " + "; ".join(LOST) + ".")
    if made.reviews:
        what = "what one reviewer's statement says" if made.reviews == 1 else f"{made.reviews} reviewers' statements"
        click.echo(
            f"Found {what}, to be read only: none of it counts any more, as it names the log that was lost, and "
            "this one has another name. Whoever stands by it says it again (`nbprod approve`, `reject`, `sign-off`)."
        )
    if store.url != home.store.url:
        click.echo(f"The project's store is {home.store.url}: set `store` to the one that was read.", err=True)
    return IntegrityError.exit_code if made.faults else 0


@ledger.command()
@click.option("--no-store", is_flag=True, help="Do not look whether the store has what events name.")
@click.option("--bytes", "content", is_flag=True, help="Read and hash all that events, records and manifests name.")
@_JSON
def check(*, no_store: bool, content: bool, as_json: bool) -> int:
    """Compare the index with the events, and what they name with the store.

    Every column of the index is made anew and compared. Whether the store's bytes are right is looked at with --bytes
    only, else whether they are there. The exit code is 4 if anything is amiss.
    """
    from nbprod.cli.progress import counting  # noqa: PLC0415
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.cli.session import ledger_of  # noqa: PLC0415
    from nbprod.errors import IntegrityError  # noqa: PLC0415
    from nbprod.printable import printable  # noqa: PLC0415
    from nbprod.project.upkeep import check as checked  # noqa: PLC0415

    if no_store and content:
        raise click.UsageError("--bytes looks into the store, and --no-store forbids it.")
    project = _project()
    ledger_of(project)
    with counting("runs compared", "objects looked at") as (compared, looked):
        found = checked(project.home, store=not no_store, content=content, compared=compared, looked=looked)
    if as_json:
        counts = {"events": found.events, "runs": found.runs, "objects": found.objects, "erased": found.erased}
        print_json({**counts, "faults": found.faults})
        return IntegrityError.exit_code if found.faults else 0
    for fault in found.faults:
        click.echo(printable(fault))
    state = f"{len(found.faults)} faults" if found.faults else "all is well"
    read = f", and read {found.objects} objects" if content else ""
    click.echo(f"Checked {found.events} events of {found.runs} runs{read}: {state}.")
    if found.erased:
        gone = "1 object was" if found.erased == 1 else f"{found.erased} objects were"
        click.echo(f"{gone} erased, as the tombstones of the runs that name them say.")
    return IntegrityError.exit_code if found.faults else 0


def _project() -> Project:
    from nbprod.cli.session import open_project  # noqa: PLC0415

    return open_project(recover=False)
