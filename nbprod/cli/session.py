"""What every command starts with: the project, and runs that nobody closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nbprod.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nbprod.ledger import Ledger
    from nbprod.project import Project, Run
    from nbprod.record.ids import RunId

__all__ = ["by_verdict", "finished_run", "ledger_of", "open_project"]


def open_project(*, recover: bool = True) -> Project:
    """Find the project of the current folder and close what vanished runners left open.

    Args:
        recover: close lapsed runs, and say so on stderr; commands that never look at runs need not.
    """
    from nbprod.project import Project  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.project.recovery import close_lapsed  # noqa: PLC0415

    project = Project.find()
    for status, closed in by_verdict(project, close_lapsed(project) if recover else ()).items():
        names = ", ".join(run_id.short for run_id in closed)
        whose = "a run whose runner" if len(closed) == 1 else f"{len(closed)} runs whose runners"
        click.echo(f"Closed {whose} vanished, as {status}: {names}", err=True)
    return project


def by_verdict(project: Project, closed: Iterable[RunId]) -> Mapping[str, Sequence[RunId]]:
    """Return the runs that were just closed by what their records say: some had come to their end before."""
    found: dict[str, list[RunId]] = {}
    for run_id in closed:
        found.setdefault(str(project.home.ledger.run(run_id).status), []).append(run_id)
    return found


def ledger_of(project: Project) -> Ledger:
    """Return the project's ledger; where there is none yet, say that there are no runs instead of making one.

    Raises:
        NotFound: nothing was ever run here.
    """
    from nbprod.project.recovery import has_ledger  # noqa: PLC0415

    if not has_ledger(project):
        raise NotFound(
            f"there are no runs in {project.root}",
            hint="Run a notebook with `nbprod run NOTEBOOK`, or go to the project's folder.",
        )
    return project.home.ledger


def finished_run(project: Project, text: str) -> Run:
    """Return a run that has ended.

    Raises:
        NotFound: there is none, or it goes on.
    """
    ledger_of(project)
    return project.run(text)
