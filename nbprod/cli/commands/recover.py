"""`nbprod recover`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbprod.flow.untold import Untold
    from nbprod.ledger import RunRow
    from nbprod.record.ids import RunId

__all__ = ["recover"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write the closed runs' ids as JSON.")
def recover(*, as_json: bool) -> int:
    """Close lost runs, deliver what waits, tell Prefect.

    Runs whose runner vanished become `crashed`, with all that their journals hold; one that had come to its end before
    keeps its verdict. Every command that looks at runs does so on its way. Of flow runs whose process is gone, Prefect
    is told how their notebooks ended.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import by_verdict, open_project  # noqa: PLC0415
    from nbprod.flow import untold  # noqa: PLC0415
    from nbprod.project.recovery import close_lapsed, deliver, open_runs  # noqa: PLC0415

    project = open_project(recover=False)
    delivery = deliver(project)
    if delivery.delivered:
        click.echo(f"Delivered {_objects(delivery.delivered)} to the store.", err=as_json)
    if delivery.problem is not None:
        click.echo(f"Waiting here: {_objects(delivery.waiting)}. {delivery.problem}", err=True)
    closed = close_lapsed(project)
    if as_json:
        print_json([str(run_id) for run_id in closed])
    else:
        _say_closed(by_verdict(project, closed), open_runs(project))
    _say_told(untold.tell(project, quiet=untold.QUIET), err=as_json)
    return 0


def _say_closed(closed: Mapping[str, Sequence[RunId]], going: list[RunRow]) -> None:
    for status, run_ids in closed.items():
        for run_id in run_ids:
            click.echo(f"Closed run {run_id.short} as {status}; see `nbprod show {run_id.short}`.")
    if not closed and not going:
        click.echo("Nothing to close: no run is open.")
    elif not closed:
        click.echo(f"Nothing to close yet: {'1 run is' if len(going) == 1 else f'{len(going)} runs are'} open.")
    for row in going:
        click.echo(_open_still(row))


def _say_told(untold: Untold, *, err: bool) -> None:
    """Say what Prefect was told, and what not; nothing where no flow run is known."""
    from nbprod.cli.values import plain_text  # noqa: PLC0415

    for each in untold.overdue:
        tasks = "1 task run" if each.task_runs == 1 else f"{each.task_runs} task runs"
        ended = f"ended for it as {each.believed}" if each.state is None else f"is {each.state}, not {each.believed}"
        told = f"Told Prefect: flow run {plain_text(each.name)} {ended}; the endings of {tasks}."
        click.echo(told, err=err)
    for left in untold.left:
        click.echo(f"Prefect says {left.believed} of flow run {plain_text(left.name)}: {left.why}.", err=err)
    if untold.problem is not None:
        more = " more" if untold.overdue else ""
        click.echo(f"Prefect was told nothing{more}: {untold.problem}.", err=True)


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _open_still(row: RunRow) -> str:
    from nbprod.cli.values import moment, plain_text  # noqa: PLC0415

    told = f"Open: run {row.run_id.short} of {plain_text(row.step)} on {plain_text(row.host)}"
    if row.lease_until is None:
        return told
    if row.lease_until > datetime.now(UTC):
        return f"{told}: its runner counts as alive until {moment(row.lease_until)}."
    return f"{told}: no sign of life since its lease ended at {moment(row.lease_until)}; run this on that machine."
