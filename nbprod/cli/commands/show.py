"""`nbprod show`."""

from __future__ import annotations

import click

__all__ = ["show"]


@click.command()
@click.argument("run")
@click.option(
    "--json", "as_json", is_flag=True, help="Write the record's statement as JSON, and beside it what was touched."
)
def show(run: str, *, as_json: bool) -> int:
    """Show a run's record.

    Verdict, cells, parameters, inputs, scraps, artifacts, what was touched, contract, environment, git, who and when.
    """
    from nbprod.cli.record import show_record  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415

    project = open_project()
    found = finished_run(project, run)
    if as_json:
        trace = found.trace
        touched = {} if trace is None else {"touched": trace.to_json()}
        print_json({**found.record.to_statement(), **touched})
    else:
        show_record(output(), found, project.home.ledger.run(found.id))
    return 0
