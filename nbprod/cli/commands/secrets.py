"""`nbprod secrets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nbprod.cli.moments import MOMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from nbprod.project import Project, Run
    from nbprod.project.suspected import Place

__all__ = ["secrets"]


@click.command()
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--since", type=MOMENT, help="Only runs started then or later: 2026-11-22, 90m, 12h, 7d.")
@click.option("--no-flag", is_flag=True, help="Only report; put no flag on runs.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def secrets(runs: tuple[str, ...], *, since: datetime | None, no_flag: bool, as_json: bool) -> int:
    """Report what looks like a secret in runs.

    Parameters, source and outputs of the named runs, else of all, are looked through by the rules of detect-secrets.
    Registered secrets were masked and are no finding. Runs with findings get the flag secret-suspected, which `nbprod
    runs --flagged` lists and `nbprod untag` takes off. Exits with 1 where there are findings.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.suspected import flag, look_through  # noqa: PLC0415

    project = open_project()
    count, found = 0, []
    for run in _asked(project, runs, since):
        count += 1
        places = look_through(run)
        if places:
            found.append({"run": str(run.id), "step": run.step, "places": [place.to_json() for place in places]})
            if not no_flag:
                flag(project, run)
            if not as_json:
                _say(run, places)
    if as_json:
        print_json(found)
    else:
        looked = "1 run was" if count == 1 else f"{count:,} runs were"
        click.echo(f"{looked} looked through; what looks like a secret is in {len(found) or 'none'}.", err=True)
    return 1 if found else 0


def _asked(project: Project, runs: tuple[str, ...], since: datetime | None) -> Iterator[Run]:
    from nbprod.cli.session import finished_run  # noqa: PLC0415
    from nbprod.ledger import RunQuery  # noqa: PLC0415

    if runs:
        return (finished_run(project, text) for text in dict.fromkeys(runs))
    return project.runs(RunQuery(since=since))


def _say(run: Run, places: tuple[Place, ...]) -> None:
    from nbprod.cli.values import plain_text  # noqa: PLC0415

    click.echo(f"run {run.id.short}  {plain_text(run.step)}")
    for place in places:
        each = place.suspect
        line = f", line {each.line}" if each.line > 1 else ""
        click.echo(f"  {plain_text(place.where)}{line}: {each.kind} ({plain_text(each.shown)})")
