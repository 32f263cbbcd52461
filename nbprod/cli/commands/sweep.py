"""`nbprod sweep`."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import exit_codes
from nbprod.cli.given import file_options, given_values, how_options, options_asked, refuse_deadlines

if TYPE_CHECKING:
    from nbprod.project import Project
    from nbprod.project.sweep import Plan
    from nbprod.project.swept import Point

__all__ = ["sweep"]

_EPILOG = (
    "Values are read by the declared type. Commas inside brackets and quotes do not part them: -p x='[1,2],[3,4]', "
    "-p title='\"a, b\",c'. A range a..b or a..b..step holds whole numbers, or days where the type is a date, b "
    "included. What -b, -f, -y and -r give is the same in all runs; -p, -r and --from go before -b, -f and -y. "
    "Rows of --from are combined with the lists."
)
_STDOUT = "-"


@click.command(epilog=_EPILOG)
@click.argument("notebook", metavar="NOTEBOOK|STEP", required=False)
@click.argument("output", required=False)
@click.option("--parameters", "-p", "lists", multiple=True, metavar="NAME=VALUES", help="A parameter's values.")
@click.option("--parameters_raw", "-r", "raw", multiple=True, metavar="NAME=TEXT", help="A parameter, as text.")
@file_options
@click.option("--from", "rows", metavar="FILE", help="A CSV file: names in the first line, then a run per line.")
@click.option("--zip", "paired", is_flag=True, help="Pair the lists instead of combining each with each.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), metavar="N", help="Runs at once.  [default: the usable CPUs]")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[SWEEP]",
    help="Go on with a sweep, by default the step's last one with such settings: run what has no good run yet.",
)
@click.option("--name", help="A name for the sweep.  [default: eight hex digits]")
@click.option("--fail-fast", is_flag=True, help="Start no more once a run has ended badly.")
@click.option("--dry-run", is_flag=True, help="Show the settings and run nothing.")
@click.option("--limit", type=click.IntRange(min=1), help="Refuse more settings than that.  [default: 10000]")
@how_options
@click.option("--progress-bar/--no-progress-bar", default=None, help="Show a live table.  [default: on a terminal]")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the table as CSV; - is standard output.")
@click.option("--json", "as_json", is_flag=True, help="Write the result to stdout as JSON.")
def sweep(**asked: Any) -> int:
    """Run a notebook or a step with many settings, some at once.

    All combinations of the lists are run. OUTPUT is where to write the executed notebooks as well; in it {name} stands
    for a parameter's value.
    """
    if asked["notebook"] is None and asked["resume"]:  # `--resume NOTEBOOK`: the only word is not the sweep's id
        asked |= {"notebook": asked["resume"], "resume": ""}
    _refuse(asked)
    from nbprod.cli.session import open_project  # noqa: PLC0415 - `--help` must stay fast

    project = open_project()
    plan = _plan(project, asked)
    _introduce(plan, asked)
    return _foresee(project, plan, asked) if asked["dry_run"] else _execute(project, plan, asked)


def _refuse(asked: Mapping[str, Any]) -> None:
    if asked["notebook"] is None:
        raise click.UsageError("Missing argument 'NOTEBOOK|STEP'.")
    refuse_deadlines(asked)
    if asked["as_json"] and asked["csv_file"] == _STDOUT:
        raise click.UsageError("Standard output can hold either JSON or CSV.")
    if asked["rows"] == "-" and "-" in asked["files"]:
        raise click.UsageError("Standard input can hold either the rows or the parameters.")
    if asked["resume"] and asked["name"]:
        raise click.UsageError("Either --resume SWEEP or --name: a sweep keeps its name.")
    if asked["csv_file"] not in (None, _STDOUT):
        folder = Path(asked["csv_file"]).absolute().parent
        if not folder.is_dir() or Path(asked["csv_file"]).is_dir():
            raise click.UsageError(f"--csv {asked['csv_file']}: {folder} is not there, or this is a folder.")


def _plan(project: Project, asked: Mapping[str, Any]) -> Plan:
    from nbprod.cli.spread import settings_given  # noqa: PLC0415
    from nbprod.project.sweep import MOST, plan_sweep  # noqa: PLC0415

    step = project.step(asked["notebook"])
    fixed = given_values({**asked, "texts": (), "raw": ()})
    settings = settings_given(
        step.schema,
        lists=asked["lists"],
        raw=asked["raw"],
        file=asked["rows"],
        paired=asked["paired"],
        most=asked["limit"] or MOST,
    )
    resume = asked["resume"]
    return plan_sweep(
        project,
        step,
        [{**fixed, **setting} for setting in settings],
        options_asked(asked, name=None),
        output=asked["output"],
        name=asked["name"],
        resume=False if resume is None else resume or True,
    )


def _introduce(plan: Plan, asked: Mapping[str, Any]) -> None:
    """Say what will be run, on stderr."""
    if plan.repeated:
        subject = (
            "1 setting repeats another one and is"
            if plan.repeated == 1
            else f"{plan.repeated:,} settings repeat others and are"
        )
        click.echo(f"Note: {subject} left out: each is run once.", err=True)
    if asked["resume"] is not None:
        good = sum(plan.kept(setting) is not None for setting in plan.settings)
        click.echo(f"Going on with sweep {plan.id}: {_count(good, plan)} succeeded before.", err=True)
    if not asked["dry_run"]:
        from nbprod.project.crew import usable_cpus  # noqa: PLC0415

        jobs = asked["jobs"] or usable_cpus()
        settings = "1 setting" if len(plan.settings) == 1 else f"{len(plan.settings):,} settings"
        click.echo(f"Sweep {plan.id} of {plan.step.name}: {settings}, {jobs} at once.", err=True)


def _count(some: int, plan: Plan) -> str:
    return f"{some:,} of {len(plan.settings):,}"


def _foresee(project: Project, plan: Plan, asked: Mapping[str, Any]) -> int:
    from nbprod.project.swept import Point  # noqa: PLC0415

    points = []
    for setting in plan.settings:
        row = plan.kept(setting)
        point = Point(number=setting.number, values=setting.values)
        if row is not None:
            run = project.run(str(row.run_id))
            older = run.record.request.source != plan.step.source
            point = Point(number=setting.number, values=setting.values, run=run, run_id=run.id, kept=True, older=older)
        points.append(point)
    _show(plan, points, asked)
    left = sum(not point for point in points)
    click.echo(f"Would run {_count(left, plan)} settings; nothing was started.", err=True)
    return 0


def _execute(project: Project, plan: Plan, asked: Mapping[str, Any]) -> int:
    from nbprod.cli.interrupts import Interrupts  # noqa: PLC0415
    from nbprod.cli.screen import errors  # noqa: PLC0415
    from nbprod.cli.sweep_live import LiveSweep  # noqa: PLC0415
    from nbprod.cli.sweep_table import shown_names  # noqa: PLC0415
    from nbprod.execution.cancel import CancelToken  # noqa: PLC0415
    from nbprod.project.crew import run_sweep  # noqa: PLC0415
    from nbprod.project.swept import Point  # noqa: PLC0415

    console = errors()
    before = [Point(number=setting.number, values=setting.values) for setting in plan.settings]
    live = LiveSweep(
        console,
        f"sweep {plan.id} of {plan.step.name}",
        before,
        shown_names(before),
        live=console.is_terminal if asked["progress_bar"] is None else asked["progress_bar"],
    )
    notice = "Cancelling: no more runs are started, those under way are being interrupted; once more kills them."
    interrupts = Interrupts(CancelToken(), live.say, notice=notice)
    try:
        with interrupts.caught(), live.shown():
            run_sweep(
                project, plan, jobs=asked["jobs"], fail_fast=asked["fail_fast"], cancel=interrupts.token, hear=live
            )
    finally:  # whatever stopped it, what became of the settings is told
        points = live.points
        if any(point.state != "not_started" for point in points):
            with contextlib.suppress(BrokenPipeError):  # a reader that has gone does not change how the runs ended
                _show(plan, points, asked)
            _conclude(plan, points)
    if interrupts.received is not None and not all(points):
        return exit_codes.of_signal(interrupts.received)
    return exit_codes.of_many(map(_code, points)) or int(not all(points))


def _code(point: Point) -> int:
    if point.run is not None:
        return exit_codes.of_status(point.run.status)
    code = 0 if point.error is None else point.error.exit_code
    return 1 if code == exit_codes.REFUSED else code  # 2 would say that nothing was started


def _show(plan: Plan, points: Sequence[Point], asked: Mapping[str, Any]) -> None:
    from nbprod.cli.screen import print_json  # noqa: PLC0415
    from nbprod.cli.sweep_table import point_json, show_points, sweep_csv  # noqa: PLC0415

    if asked["csv_file"] == _STDOUT:
        click.echo(sweep_csv(points), nl=False)
    elif asked["csv_file"] is not None:
        _write(Path(asked["csv_file"]), sweep_csv(points))
    if asked["as_json"]:
        said = {"sweep": plan.id, "tag": plan.tag, "step": plan.step.name}
        print_json({**said, "runs": [point_json(point) for point in points]})
    elif asked["csv_file"] != _STDOUT:
        started = any(point.state != "not_started" for point in points)
        show_points(points, started=started)


def _write(path: Path, text: str) -> None:
    from nbprod.runner.files import write_atomically  # noqa: PLC0415

    try:
        write_atomically(path.absolute(), text.encode("utf-8"))
    except OSError as error:
        click.echo(f"The table could not be written to {path}: {error.strerror}", err=True)


def _conclude(plan: Plan, points: Sequence[Point]) -> None:
    """Say on stderr what is there, what is missing, and what to do next."""
    good = sum(map(bool, points))
    others = Counter(point.state.replace("_", " ") for point in points if not point)
    rest = "".join(f", {count:,} {state}" for state, count in others.most_common())
    click.echo(f"{_count(good, plan)} succeeded{rest}.  nbprod runs --tag {plan.tag}", err=True)
    if good < len(points):
        click.echo(f"For what is missing, the same command with --resume {plan.id}", err=True)
    older = sum(point.older for point in points)
    if older:
        runs = "1 run is" if older == 1 else f"{older:,} runs are"
        click.echo(f"{runs} of another version of the notebook; without --resume, all are run anew.", err=True)
