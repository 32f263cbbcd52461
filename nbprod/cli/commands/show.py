"""`nbprod show`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nbprod.project import Run
    from nbprod.verify import Spoken

__all__ = ["show"]


@click.command()
@click.argument("run")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Write the record's statement as JSON, and beside it what was touched, erased, and said by reviewers.",
)
def show(run: str, *, as_json: bool) -> int:
    """Show a run's record.

    Verdict, cells, parameters, inputs, scraps, artifacts, what was touched, contract, environment, git, who and when.
    """
    from nbprod.cli.record import show_record  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415
    from nbprod.project.standings import said_of_run  # noqa: PLC0415

    project = open_project()
    found = finished_run(project, run)
    spoken, stands = said_of_run(project, found.id)
    if as_json:
        print_json({**found.record.to_statement(), **_beside(found), **_reviews(spoken, stands)})
    else:
        show_record(output(), found, project.home.ledger.run(found.id), spoken=spoken, stands=stands)
    return 0


def _reviews(spoken: Sequence[Spoken], stands: str) -> dict[str, Any]:
    if not spoken:
        return {}
    from nbprod.project.reviews import spoken_json  # noqa: PLC0415

    return {"reviews": spoken_json(spoken), "stands": stands or None}


def _beside(run: Run) -> dict[str, Any]:
    """Return what stands beside the record: what was touched, and what was erased."""
    from nbprod.errors import Erased  # noqa: PLC0415
    from nbprod.ledger.events import to_json  # noqa: PLC0415
    from nbprod.ledger.reproduced import reproductions  # noqa: PLC0415

    beside: dict[str, Any] = {}
    with suppress(Erased):
        if (trace := run.trace) is not None:
            beside["touched"] = trace.to_json()
    if stones := run.erased:
        beside["erased"] = [to_json(stone) for stone in stones]
    if told := reproductions(run.home.ledger, run.id):
        beside["reproduced"] = [to_json(each) for each in told]
    return beside
