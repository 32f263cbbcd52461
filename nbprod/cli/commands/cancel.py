"""`nbprod cancel`."""

from __future__ import annotations

import click

__all__ = ["cancel"]


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def cancel(run: str, *, as_json: bool) -> int:
    """Ask for a run to be cancelled.

    Wherever it goes on, its notebook is interrupted within about a second; what it has put out so far is kept.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.errors import CallerError  # noqa: PLC0415
    from nbprod.runner.ports import user_name  # noqa: PLC0415

    ledger = ledger_of(open_project())
    run_id = ledger.find(run)
    if not ledger.request_cancel(run_id, by=user_name()):
        status = ledger.run(run_id).status
        raise CallerError(
            f"run {run_id.short} cannot be cancelled", expected="a run that goes on", found=f"it has ended: {status}"
        )
    if as_json:
        print_json({"run": str(run_id), "requested": True})
    else:
        click.echo(f"Asked for run {run_id.short} to be cancelled. See its end with `nbprod logs -f {run_id.short}`.")
    return 0
