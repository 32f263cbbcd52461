"""`nbprod name`, `tag`, `untag` and `note`: what people set and change later, as events beside the record."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.ledger import Ledger, RunRow
    from nbprod.record.ids import RunId

__all__ = ["name", "note", "tag", "untag"]

_JSON = click.option("--json", "as_json", is_flag=True, help="Write the run as JSON.")


@click.command()
@click.argument("run")
@click.argument("name", default="")
@_JSON
def name(run: str, name: str, *, as_json: bool) -> int:
    """Name a run; without NAME take its name away."""
    from nbprod.project.labels import name_run  # noqa: PLC0415 - `--help` must stay fast

    return _change(run, lambda ledger, run_id: name_run(ledger, run_id, name), as_json=as_json, name=name)


@click.command()
@click.argument("run")
@click.argument("note", default="")
@_JSON
def note(run: str, note: str, *, as_json: bool) -> int:
    """Write a run's note; without NOTE take it away."""
    from nbprod.project.labels import note_run  # noqa: PLC0415

    return _change(run, lambda ledger, run_id: note_run(ledger, run_id, note), as_json=as_json, note=note)


@click.command()
@click.argument("run")
@click.argument("tags", metavar="TAG...", nargs=-1, required=True)
@_JSON
def tag(run: str, tags: tuple[str, ...], *, as_json: bool) -> int:
    """Put tags on a run."""
    from nbprod.project.labels import tag_run  # noqa: PLC0415

    return _change(run, lambda ledger, run_id: tag_run(ledger, run_id, tags), as_json=as_json, tags=list(tags))


@click.command()
@click.argument("run")
@click.argument("tags", metavar="TAG...", nargs=-1, required=True)
@_JSON
def untag(run: str, tags: tuple[str, ...], *, as_json: bool) -> int:
    """Take tags off a run."""
    from nbprod.project.labels import untag_run  # noqa: PLC0415

    return _change(run, lambda ledger, run_id: untag_run(ledger, run_id, tags), as_json=as_json)


def _change(run: str, change: Callable[[Ledger, RunId], RunRow], *, as_json: bool, **words: str | list[str]) -> int:
    from nbprod.cli.row import row_json  # noqa: PLC0415
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.cli.values import plain_text  # noqa: PLC0415
    from nbprod.project.words import refuse_secrets  # noqa: PLC0415

    project = open_project()
    refuse_secrets(project, **words)
    ledger = ledger_of(project)
    row = change(ledger, ledger.find(run))
    if as_json:
        print_json(row_json(row))
        return 0
    parts = [
        f"name {row.name}" if row.name else "no name",
        f"tags {' '.join(row.tags)}" if row.tags else "no tags",
        f"note {row.note!r}" if row.note else "no note",
    ]
    click.echo(plain_text(f"Run {row.run_id.short} of {row.step}: {', '.join(parts)}."))
    return 0
