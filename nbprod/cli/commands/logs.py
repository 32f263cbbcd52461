"""`nbprod logs`."""

from __future__ import annotations

import sys
from datetime import datetime

import click

__all__ = ["logs"]


@click.command()
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Wait for more until the run has ended.")
@click.option("--cell", type=int, metavar="N", help="Only this cell's; its index in the source notebook.")
@click.option("--times", "-t", is_flag=True, help="Show when each line came.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
def logs(run: str, *, follow: bool, cell: int | None, times: bool, as_json: bool) -> int:
    """Show what a run's cells printed.

    Each line stands behind its cell's number, that in the source notebook; [p] are the injected parameters.

    After -f the exit code tells how the run ended, as that of `nbprod run` does.
    """
    from nbprod.cli import exit_codes  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.live import Lines  # noqa: PLC0415
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.printable import printable  # noqa: PLC0415
    from nbprod.project.watch import CellEnded, watch  # noqa: PLC0415

    project = open_project()
    ledger = ledger_of(project)
    run_id = ledger.find(run)
    running = ledger.run(run_id).status is None
    lines = Lines()
    writer = _Writer(times=times, as_json=as_json, colour=sys.stdout.isatty())
    for heard in watch(project.home, run_id, follow=follow):
        if cell is not None and heard.cell != cell:
            continue
        if isinstance(heard, CellEnded):
            for name, line in lines.flush(heard.cell):
                writer.write(heard.at, heard.cell, name, line)
            continue
        for line in lines.add(heard.cell, heard.name, heard.text):
            writer.write(heard.at, heard.cell, heard.name, line)
        sys.stdout.flush()
    for where, name, line in lines.rest():
        writer.write(None, where, name, line)
    if not (follow and running):
        return 0
    row = ledger.run(run_id)
    if row.status is None:
        return 0
    click.echo(f"Run {run_id.short} {row.status}: {printable(row.reason or '')}", err=True)
    return exit_codes.of_status(row.status)


class _Writer:
    def __init__(self, *, times: bool, as_json: bool, colour: bool) -> None:
        self._times = times
        self._as_json = as_json
        self._colour = colour

    def write(self, at: datetime | None, cell: int | None, name: str, line: str) -> None:
        from nbprod.printable import printable  # noqa: PLC0415

        if self._as_json:
            from nbprod.cli.screen import json_text  # noqa: PLC0415

            moment = None if at is None else at.isoformat()
            click.echo(json_text({"at": moment, "cell": cell, "stream": name, "line": line}))
            return
        mark = f"[{'p' if cell is None else cell}]"
        if self._times and at is not None:
            mark = f"{at.astimezone():%H:%M:%S%z} {mark}"
        text = printable(line, instead="")
        if self._colour:
            mark = click.style(mark, dim=True)
            text = text if name == "stdout" else click.style(text, fg="red" if name == "error" else "yellow")
        click.echo(f"{mark} {text}", color=self._colour)
