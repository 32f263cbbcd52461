"""`nbprod scraps`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli.values import plain_json
from nbprod.errors import NotFound

if TYPE_CHECKING:
    from nbprod.ledger import RunRow

__all__ = ["scraps"]

_SHOWN = 20


@click.command()
@click.argument("step")
@click.option("--limit", type=click.IntRange(min=0), help="At most so many.  [default: 20 in a table, else all]")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV.")
def scraps(step: str, *, limit: int | None, as_json: bool, as_csv: bool) -> int:
    """Compare the scraps of a step's runs.

    One line per run, the latest first, with parameters and scraps as columns.
    """
    if as_json and as_csv:
        raise click.UsageError("Either --json or --csv.")
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.ledger import RunQuery  # noqa: PLC0415
    from nbprod.project.recovery import has_ledger  # noqa: PLC0415

    project = open_project()
    most = limit if limit is not None or as_json or as_csv else _SHOWN
    query = RunQuery(steps=(step,), running=False, limit=most)
    rows = list(project.home.ledger.runs(query)) if has_ledger(project) else []
    if not rows and step not in project.settings.steps:
        raise NotFound(f"no run of a step {step!r} has ended", hint="`nbprod runs` lists runs with their steps.")
    if as_json:
        print_json([_json(row) for row in rows])
    elif as_csv:
        _write_csv(rows)
    else:
        _show(step, rows)
    return 0


def _json(row: RunRow) -> dict[str, Any]:
    return {
        "run": str(row.run_id),
        "status": str(row.status),
        "started": row.started.isoformat(),
        "seconds": row.seconds,
        "parameters": plain_json(row.parameters),
        "scraps": plain_json(row.scraps),
    }


def _names(rows: Sequence[RunRow]) -> tuple[list[str], list[str]]:
    """Return the names of all parameters and scraps, those of the latest run first."""
    parameters = dict.fromkeys(name for row in rows for name in row.parameters)
    return list(parameters), list(dict.fromkeys(name for row in rows for name in row.scraps))


def _plain(value: Any) -> Any:
    plain = plain_json(value)
    return plain if isinstance(plain, str | int | float) else json.dumps(plain, ensure_ascii=False)


def _write_csv(rows: Sequence[RunRow]) -> None:
    parameters, names = _names(rows)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    head = ["run", "status", "started", "seconds"]
    writer.writerow([*head, *(f"params.{name}" for name in parameters), *(f"scraps.{name}" for name in names)])
    for row in rows:
        values = [_plain(row.parameters[name]) if name in row.parameters else "" for name in parameters]
        values += [_plain(row.scraps[name]) if name in row.scraps else "" for name in names]
        writer.writerow([row.run_id, row.status, row.started.isoformat(), row.seconds, *values])


def _show(step: str, rows: Sequence[RunRow]) -> None:
    from nbprod.cli.screen import output, table, text  # noqa: PLC0415
    from nbprod.cli.values import brief, status_text, when  # noqa: PLC0415

    if not rows:
        click.echo(f"Step {step} has no runs that have ended.", err=True)
        return
    parameters, names = _names(rows)
    parameters = [name for name in parameters if name != "output_dir"]  # another folder in each run
    same = [name for name in parameters if len(rows) > 1 and _constant(rows, name)]
    parameters = [name for name in parameters if name not in same]
    shown = table("run", "status", "started", *parameters, *(f"[bold cyan]{text(name)}[/]" for name in names))
    for row in rows:
        cells = [text(brief(row.parameters[name], 24)) if name in row.parameters else "" for name in parameters]
        cells += [text(brief(row.scraps[name], 24)) if name in row.scraps else "" for name in names]
        shown.add_row(f"[cyan]{row.run_id.short}[/]", status_text(row.status), when(row.started), *cells)
    console = output()
    console.print(shown)
    if same:
        values = ", ".join(f"{name} {brief(rows[0].parameters[name], 24)}" for name in same)
        console.print(f"[dim]the same in all: {text(values)}[/]")


def _constant(rows: Sequence[RunRow], name: str) -> bool:
    first = rows[0].parameters.get(name)
    return all(name in row.parameters and row.parameters[name] == first for row in rows)
