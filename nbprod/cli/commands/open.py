"""`nbprod open`."""

from __future__ import annotations

import shutil
import subprocess
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.project import Run
    from nbprod.verify import Spoken

    Said = tuple[tuple[Spoken, ...], str]
    """What people have said of a run, and the word for what of it stands."""

__all__ = ["open"]

_JUPYTER = ("jupyter-lab", "jupyter-notebook")


@click.command(name="open")
@click.argument("run")
@click.option("--jupyter", is_flag=True, help="Open it in Jupyter instead of the browser.")
@click.option("--print", "as_path", is_flag=True, help="Print the executed notebook's path and open nothing.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the page and open nothing."
)
@click.option("--json", "as_json", is_flag=True, help="As --print, in JSON.")
def open(run: str, *, jupyter: bool, as_path: bool, html: Path | None, as_json: bool) -> int:  # noqa: A001 - the command's name
    """Open a run's executed notebook.

    In the browser it is a page without scripts that fetches nothing, whatever its outputs hold. What people have said
    of the run stands above it.
    """
    if jupyter + as_path + as_json + (html is not None) > 1:
        raise click.UsageError("Only one of --jupyter, --print, --json and --html.")
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.summary import changed_since  # noqa: PLC0415

    project = open_project()
    found = finished_run(project, run)
    if (as_json or as_path) and (changed := changed_since(found)) is not None:
        click.echo(f"Note: {changed}.", err=True)
    if as_json:
        from nbprod.cli.screen import print_json  # noqa: PLC0415

        print_json({"run": str(found.id), "notebook": str(found.notebook)})
        return 0
    if as_path:
        click.echo(found.notebook)
        return 0
    if jupyter:
        return _in_jupyter(found)
    from nbprod.project.standings import said_of_run  # noqa: PLC0415

    said = said_of_run(project, found.id)
    return _in_browser(found, said) if html is None else _to_file(found, html, said)


def _to_file(run: Run, path: Path, said: Said) -> int:
    from nbprod.errors import CallerError  # noqa: PLC0415
    from nbprod.project.page import html_page  # noqa: PLC0415

    try:
        path.write_bytes(html_page(run, *said))
    except OSError as error:
        raise CallerError(f"the page cannot be written to {path}", found=error.strerror or str(error)) from error
    click.echo(f"Wrote {path}.", err=True)
    return 0


def _in_browser(run: Run, said: Said) -> int:
    from nbprod.project.page import write_page  # noqa: PLC0415

    path = write_page(run, *said)
    if not webbrowser.open(path.as_uri()):
        click.echo("No browser was found here. The page is", err=True)
    click.echo(path)
    return 0


def _in_jupyter(run: Run) -> int:
    from nbprod.errors import CallerError  # noqa: PLC0415

    program = next((found for name in _JUPYTER if (found := shutil.which(name)) is not None), None)
    if program is None:
        raise CallerError(
            "Jupyter was not found",
            expected=f"{' or '.join(_JUPYTER)} on the PATH",
            hint="Install it with `pip install jupyterlab`, or open the run in the browser without --jupyter.",
        )
    # A read-only view: the evidence is not to be saved over.
    notebook = run.home.view(run.record.notebook.digest, run.notebook.name, run.record.run_id)
    return subprocess.run([program, str(notebook)], check=False).returncode
