"""`nbprod steps`."""

from __future__ import annotations

import click

__all__ = ["steps"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def steps(*, as_json: bool) -> int:
    """List the steps of pyproject.toml.

    Their notebooks, deadlines, and what a run must leave.
    """
    from nbprod.cli.screen import output, print_json, table  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import open_project  # noqa: PLC0415

    project = open_project(recover=False)
    found = project.settings.steps
    if as_json:
        print_json(
            [
                {
                    "step": name,
                    "notebook": step.notebook,
                    "kernel": step.kernel,
                    "cwd": step.cwd,
                    **step.limits_json(),
                    "secrets": list(step.secrets),
                    "expect": step.expect.to_json(),
                }
                for name, step in found.items()
            ]
        )
        return 0
    if not found:
        click.echo("No steps. Name them in pyproject.toml: [tool.nbprod.steps.NAME] with `notebook = …`.", err=True)
        return 0
    shown = table("step", "notebook", "deadline", "must leave")
    for name, step in found.items():
        there = step.notebook is not None and (project.root / step.notebook).is_file()
        notebook = escaped(step.notebook or "(none)") + ("" if there else "  [red]not there[/]")
        deadline = "" if step.timeout is None else f"{step.timeout:g} s"
        expected = [rule.text for rule in step.expect.scraps] + [f"artifact {a}" for a in step.expect.artifacts]
        shown.add_row(escaped(name), notebook, deadline, escaped("; ".join(expected)))
    output().print(shown)
    return 0
