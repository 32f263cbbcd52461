"""`nbprod recover`."""

from __future__ import annotations

import click

__all__ = ["recover"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write the closed runs' ids as JSON.")
def recover(*, as_json: bool) -> int:
    """Close the runs whose runner vanished.

    They become `crashed`, with all that their journals hold. Every command that looks at runs does so on its way.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.recovery import close_lapsed  # noqa: PLC0415

    closed = close_lapsed(open_project(recover=False))
    if as_json:
        print_json([str(run_id) for run_id in closed])
        return 0
    for run_id in closed:
        click.echo(f"Closed run {run_id.short} as crashed; see `nbprod show {run_id.short}`.")
    if not closed:
        click.echo("Nothing to close: no run has lost its runner.")
    return 0
