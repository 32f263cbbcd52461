"""`nbprod rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.project import Project, Run
    from nbprod.runner import Job

__all__ = ["rerun"]


@click.command()
@click.argument("what", metavar="RUN|FLOWRUN")
@click.option("--from", "first", metavar="STEP", help="Of a flow run: from this step on, and all that depends on it.")
@click.option("--failed", is_flag=True, help="Of a flow run: what did not end well, and all that depends on it.")
@click.option("--json", "as_json", is_flag=True, help="Write the new runs as JSON.")
def rerun(what: str, *, first: str | None, failed: bool, as_json: bool) -> int:
    """Run again what was run before.

    A RUN's own source, values, limits and contract, as a new run. Of a FLOWRUN (its name or id in Prefect) what is
    asked for; what was good upstream is kept, and handed on by its digest.
    """
    from nbprod.cli import exit_codes  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415
    from nbprod.cli.summary import run_json, show_summary  # noqa: PLC0415
    from nbprod.printable import printable  # noqa: PLC0415
    from nbprod.project.rerun import flow_run_of, rerun_flow_run, rerun_job  # noqa: PLC0415

    project = open_project()
    done: list[Run] = []
    if first is None and not failed:
        done.append(_execute(project, rerun_job(project, finished_run(project, what))))
        if not as_json:
            show_summary(output(), done[0], also=None)
    else:
        flow_run = flow_run_of(project, what)
        if flow_run is None:
            raise click.UsageError(f"No flow run {what!r} is known here: give its name or id as Prefect shows it.")
        again = rerun_flow_run(project, flow_run, lambda job: _execute(project, job), first=first, failed=failed)
        for each in again:
            if each.now is not None:
                done.append(each.now)
            if not as_json:
                kept = "kept" if each.now is None else f"run again as {each.now.id.short}: {each.now.status}"
                click.echo(f"{printable(each.before.step):<16} {each.before.id.short}  {each.before.status:<12} {kept}")
    if as_json:
        print_json([run_json(run) for run in done])
    return next((exit_codes.of_status(run.status) for run in done if not run), 0)


def _execute(project: Project, job: Job) -> Run:
    from nbprod.cli.interrupts import Interrupts  # noqa: PLC0415
    from nbprod.cli.live import LiveRun  # noqa: PLC0415
    from nbprod.cli.screen import errors  # noqa: PLC0415
    from nbprod.execution.cancel import CancelToken  # noqa: PLC0415

    console = errors()
    live = LiveRun(console, lines=console.is_terminal, bar=console.is_terminal, stdout=None, stderr=None)
    interrupts = Interrupts(CancelToken(), live.say)
    with interrupts.caught(), live.shown(job.step.name):
        return project.run_job(job, cancel=interrupts.token, listener=live)
