"""`nbprod checkpoint`."""

from __future__ import annotations

import click

__all__ = ["checkpoint"]


@click.command()
@click.option(
    "--to",
    "place",
    metavar="PLACE",
    help="Also send it there: a path, an address (s3://bucket/key), git+https://…/repository.git@branch#path.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def checkpoint(*, place: str | None, as_json: bool) -> int:
    """Sign how far the log of events has come.

    All events so far get their places, and the signed state is kept in the ledger. With --to it is sent where the
    log's owner cannot change it: who has it can tell later whether events were changed or cut off. What is there
    already is compared first, and left as it is where the log does not continue it; the exit code is 4 then.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.project.checkpoint import make_checkpoint, send  # noqa: PLC0415
    from nbprod.store.elsewhere import shown_url  # noqa: PLC0415

    project = open_project()
    ledger_of(project)
    made = make_checkpoint(project) if place is None else send(project, place)
    state = made.checkpoint
    if as_json:
        told = {"log": state.origin, "size": state.size, "root": state.root.hex(), "new": made.new, "note": made.note}
        print_json(told)
        return 0
    click.echo(made.note, nl=False)
    what = "Signed" if made.new else "Nothing was added since; this was signed"
    sent = "" if place is None else f" Sent to {shown_url(place) if '://' in place else place}."
    click.echo(f"{what}: {state.size} events of {state.origin}.{sent}", err=True)
    return 0
