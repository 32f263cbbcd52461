"""What every command starts with: the project, and runs that nobody closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.project import Project, Run

__all__ = ["find_run", "open_project"]


def open_project(*, recover: bool = True) -> Project:
    """Find the project of the current folder and close what vanished runners left open.

    Args:
        recover: close lapsed runs, and say so on stderr.
    """
    from nbprod.project import Project  # noqa: PLC0415 - `--help` must stay fast

    project = Project.find()
    if recover and project.exists():
        closed = project.recover()
        if closed:
            names = ", ".join(run_id.short for run_id in closed)
            what = "a run that its runner had" if len(closed) == 1 else f"{len(closed)} runs that their runners had"
            click.echo(f"nbprod closed {what} left open, as crashed: {names}", err=True)
    return project


def find_run(project: Project, text: str) -> Run:
    """Return a finished run.

    Raises:
        NotFound: there is none, or it is still running.
    """
    return project.run(text)
