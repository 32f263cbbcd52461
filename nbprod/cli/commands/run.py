"""`nbprod run`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import exit_codes
from nbprod.cli.given import given_values, how_options, options_asked, parameter_options, refuse_deadlines
from nbprod.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from nbprod.execution.head_start import HeadStart
    from nbprod.project import Project
    from nbprod.runner import Job
    from nbprod.step.step import Step

__all__ = ["run"]

_EPILOG = (
    "-p is read by the declared type, -r is always text. Of -b, -f, -y, -p and -r, the later go before the earlier. "
    "An artifact of another run is handed over so: -p model nbprod:train@latest/model.skops"
)
_PIPE = "-"
_WITHOUT_EFFECT = {
    "engine": "--engine has no effect: nbprod has one engine.",
    "request_save_on_cell_execute": "--request-save-on-cell-execute has no effect: every event is kept as it happens.",
    "autosave_cell_every": "--autosave-cell-every has no effect: every event is kept as it happens.",
    "language": "--language has no effect: the kernel knows its language.",
    "log_level": "--log-level has no effect: see --log-output and --progress-bar.",
}


@click.command(epilog=_EPILOG)
@click.argument("notebook", metavar="NOTEBOOK|STEP")
@click.argument("output", required=False)
@parameter_options
@click.option("--inject-input-path", is_flag=True, help="Give the parameter PAPERMILL_INPUT_PATH.")
@click.option("--inject-output-path", is_flag=True, help="Give the parameter PAPERMILL_OUTPUT_PATH.")
@click.option("--inject-paths", is_flag=True, help="Give both of them.")
@click.option("--help-notebook", is_flag=True, help="Show the notebook's parameters and run nothing.")
@click.option(
    "--prepare-only/--prepare-execute", default=False, help="Write OUTPUT with its parameters and run nothing."
)
@click.option("--name", help="A name for people.")
@how_options
@click.option("--progress-bar/--no-progress-bar", default=None, help="Show progress.  [default: on a terminal]")
@click.option("--log-output/--no-log-output", default=None, help="Show the output's lines.  [default: on a terminal]")
@click.option("--stdout-file", type=click.File("w", encoding="utf-8"), help="Takes the notebook's stdout.")
@click.option("--stderr-file", type=click.File("w", encoding="utf-8"), help="Takes the notebook's stderr.")
@click.option("--json", "as_json", is_flag=True, help="Write the result to stdout as JSON.")
@click.option("--engine", hidden=True)
@click.option("--language", "-l", hidden=True)
@click.option("--request-save-on-cell-execute/--no-request-save-on-cell-execute", default=None, hidden=True)
@click.option("--autosave-cell-every", type=int, hidden=True)
@click.option("--log-level", hidden=True)
def run(**asked: Any) -> int:
    """Run a notebook or a step and record how it ended.

    OUTPUT is where to write the executed notebook as well. In it {name} stands for a parameter's value and {{ for a
    brace. A - for NOTEBOOK is standard input, for OUTPUT standard output.
    """
    _refuse(asked)
    from nbprod.execution.head_start import begin  # noqa: PLC0415 - `--help` must stay fast

    unforked = asked["help_notebook"] or asked["prepare_only"] or asked["driver"] == "nbclient"
    ahead = None if unforked else begin(os.environ)
    try:
        return _run(asked, ahead)
    finally:
        if ahead is not None:
            ahead.forgo()


def _run(asked: Mapping[str, Any], ahead: HeadStart | None) -> int:
    from nbprod.cli.session import open_project  # noqa: PLC0415 - the server comes up meanwhile

    project = open_project()
    project.take(ahead)
    step = _step(project, asked["notebook"])
    if asked["help_notebook"]:
        from nbprod.cli.commands.describe import show_step  # noqa: PLC0415

        return show_step(step, as_json=asked["as_json"])
    if step.published is not None and step.published.remark:
        click.echo(f"Warning: {printable(step.published.remark)}", err=True)
    job = _job(project, step, asked)
    return _prepare(job, asked) if asked["prepare_only"] else _execute(project, job, asked)


def _refuse(asked: Mapping[str, Any]) -> None:
    for name, text in _WITHOUT_EFFECT.items():
        if asked[name] is not None:
            click.echo(f"Note: {text}", err=True)
    if asked["output"] == _PIPE and asked["as_json"]:
        raise click.UsageError("With --json, standard output is taken: OUTPUT cannot be '-'.")
    if asked["notebook"] == _PIPE and _PIPE in asked["files"]:
        raise click.UsageError("Standard input can hold either the notebook or the parameters.")
    refuse_deadlines(asked)


def _step(project: Project, notebook: str) -> Step:
    if notebook != _PIPE:
        return project.step(notebook)
    return project.step_from_bytes(sys.stdin.buffer.read(), "notebook", Path.cwd())


def _job(project: Project, step: Step, asked: Mapping[str, Any]) -> Job:
    from nbprod.project.order import order  # noqa: PLC0415

    injected = {}
    if asked["inject_input_path"] or asked["inject_paths"]:
        injected["PAPERMILL_INPUT_PATH"] = asked["notebook"]
    if asked["inject_output_path"] or asked["inject_paths"]:
        injected["PAPERMILL_OUTPUT_PATH"] = asked["output"] or ""
    options = options_asked(asked, name=asked["name"])
    template = None if asked["output"] in (None, "", _PIPE) else asked["output"]
    return order(project, step, given_values(asked, injected), options, output=template)


def _prepare(job: Job, asked: Mapping[str, Any]) -> int:
    from nbprod.project.prepare import prepared_notebook, write_prepared  # noqa: PLC0415

    if asked["output"] == _PIPE:
        sys.stdout.buffer.write(prepared_notebook(job))
        return 0
    if job.output is None:
        raise click.UsageError("--prepare-only needs an OUTPUT to write to ('-' is standard output).")
    write_prepared(job, job.output)
    click.echo(f"Prepared {asked['output']}; nothing was run.", err=True)
    return 0


def _execute(project: Project, job: Job, asked: Mapping[str, Any]) -> int:
    from nbprod.cli.interrupts import Interrupts  # noqa: PLC0415
    from nbprod.cli.live import LiveRun  # noqa: PLC0415
    from nbprod.cli.screen import errors, output  # noqa: PLC0415
    from nbprod.execution.cancel import CancelToken  # noqa: PLC0415
    from nbprod.record.status import Status  # noqa: PLC0415

    console = errors()
    terminal = console.is_terminal
    live = LiveRun(
        console,
        lines=terminal if asked["log_output"] is None else asked["log_output"],
        bar=terminal if asked["progress_bar"] is None else asked["progress_bar"],
        stdout=asked["stdout_file"],
        stderr=asked["stderr_file"],
    )
    interrupts = Interrupts(CancelToken(), live.say)
    with interrupts.caught(), live.shown(job.step.name):
        done = project.run_job(job, cancel=interrupts.token, listener=live)
    with contextlib.suppress(OSError):  # a reader that has gone does not change how the run ended
        if asked["output"] == _PIPE:
            sys.stdout.buffer.write(done.notebook.read_bytes())
        _show(console if asked["output"] == _PIPE else output(), done, job, as_json=asked["as_json"])
    if done.status is Status.CANCELLED and interrupts.received is not None:
        return exit_codes.of_signal(interrupts.received)
    return exit_codes.of_status(done.status)


def _show(console: Console, done: Any, job: Job, *, as_json: bool) -> None:
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.cli.summary import run_json, show_summary  # noqa: PLC0415

    if as_json:
        print_json(run_json(done))
    else:
        show_summary(console, done, also=job.output)
