"""`nbprod steps`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.ledger.steps import StepVersion
    from nbprod.verify import Version

    Judged = Mapping[tuple[str, int], Version]

__all__ = ["steps"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def steps(*, as_json: bool) -> int:
    """List the steps, and what was published of them.

    Their notebooks, deadlines, what a run must leave, published versions and the aliases that point at them.
    """
    from nbprod.cli.screen import output, print_json, table  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.standings import judged_versions  # noqa: PLC0415

    project = open_project(recover=False)
    found = project.settings.steps
    versions = project.home.ledger.published() if project.home.has_ledger() else ()
    judged = judged_versions(project, versions)
    frozen: dict[str, list[StepVersion]] = {}
    for each in versions:
        frozen.setdefault(each.step, []).append(each)
    if as_json:
        print_json(
            [
                {
                    "step": name,
                    "notebook": step.notebook,
                    "kernel": step.kernel,
                    "cwd": step.cwd,
                    **step.limits_json(),
                    "secrets": {each.name: str(each) for each in step.secrets},
                    "expect": step.expect.to_json(),
                    "published": [_version(each, judged) for each in frozen.pop(name, [])],
                }
                for name, step in found.items()
            ]
            + [
                {"step": name, "published": [_version(each, judged) for each in published]}
                for name, published in frozen.items()
                if name not in found
            ]
        )
        return 0
    if not found and not frozen:
        click.echo("No steps. Name them in pyproject.toml: [tool.nbprod.steps.NAME] with `notebook = …`.", err=True)
        return 0
    shown = table("step", "notebook", "deadline", "must leave", "published")
    for name, step in found.items():
        there = step.notebook is not None and (project.root / step.notebook).is_file()
        notebook = escaped(step.notebook or "(none)") + ("" if there else "  [red]not there[/]")
        deadline = "" if step.timeout is None else f"{step.timeout:g} s"
        expected = [rule.text for rule in step.expect.scraps] + [f"artifact {a}" for a in step.expect.artifacts]
        shown.add_row(
            escaped(name), notebook, deadline, escaped("; ".join(expected)), _told(frozen.pop(name, []), judged)
        )
    for name, published in frozen.items():
        shown.add_row(escaped(name), "", "", "", _told(published, judged))
    output().print(shown)
    return 0


def _told(published: list[StepVersion], judged: Judged) -> str:
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415

    names = [("latest", each) for each in published[:1]] + [(name, each) for each in published for name in each.aliases]
    return ", ".join(f"{escaped(name)} → {each.version}{_mark(_stands(each, judged))}" for name, each in names)


def _mark(word: str) -> str:
    return "" if not word else f" [bold red]{word.upper()}[/]" if word == "rejected" else f" [green]{word}[/]"


def _stands(version: StepVersion, judged: Judged) -> str:
    found = judged.get((version.step, version.version))
    return "" if found is None else found.standing.word


def _version(version: StepVersion, judged: Judged) -> dict[str, object]:
    return {
        "version": version.version,
        "aliases": list(version.aliases),
        "manifest": str(version.manifest),
        "published": version.published.isoformat(),
        "by": version.by,
        "note": version.note,
        "stands": _stands(version, judged) or None,
    }
