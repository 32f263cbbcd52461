"""`nbprod explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nbprod.cli.given import given_values, parameter_options

if TYPE_CHECKING:
    from nbprod.project import Project
    from nbprod.project.explain import Explanation

__all__ = ["explain"]


@click.command()
@click.argument("what", metavar="RUN|NOTEBOOK|STEP")
@parameter_options
@click.option("--json", "as_json", is_flag=True, help="Write the explanation as JSON.")
def explain(what: str, *, as_json: bool, **asked: Any) -> int:
    """Say why something would be run, or was.

    For a NOTEBOOK or STEP: whether an earlier run would answer, and if not, in what it differs from the nearest one,
    component by component. For a RUN: in what it differs from the nearest one before it. Nothing is run.
    """
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import open_project  # noqa: PLC0415

    found = _explained(open_project(), what, asked)
    if as_json:
        print_json(found.to_json())
        return 0
    console = output()
    for line in _lines(found):
        console.print(escaped(line), soft_wrap=True)
    return 0


def _explained(project: Project, what: str, asked: dict[str, Any]) -> Explanation:
    from nbprod.cli.session import finished_run  # noqa: PLC0415
    from nbprod.errors import NotFound  # noqa: PLC0415
    from nbprod.project.explain import explain_job, explain_run  # noqa: PLC0415
    from nbprod.project.project import RunOptions  # noqa: PLC0415

    values = given_values(asked)
    try:
        step = project.step(what)
    except NotFound:
        if values:
            raise
        return explain_run(project, finished_run(project, what))
    return explain_job(project, project.job(step, values, RunOptions(reuse=True)))


def _lines(found: Explanation) -> list[str]:
    nearest = (
        None if found.nearest is None else f"run {found.nearest.id.short} of {found.nearest.started:%Y-%m-%d %H:%M} UTC"
    )
    if found.answer is not None:
        return [f"{found.step}: answered by {nearest}; its request is the same, and what it read is unchanged."]
    if nearest is None:
        return [f"{found.step}: has to be run; no earlier run of this step ended well."]
    if found.differences:
        return [
            f"{found.step}: has to be run. Against the nearest earlier one, {nearest}:",
            *(f"  {each}" for each in found.differences),
            *(f"  besides, {each}" for each in found.hindrances),
        ]
    if found.hindrances:
        return [
            f"{found.step}: has to be run. The request is that of {nearest}, which may not answer:",
            *(f"  {each}" for each in found.hindrances),
        ]
    return [f"{found.step}: the request is that of {nearest}."]
