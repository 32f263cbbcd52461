"""`nbprod diff`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbprod.cli import exit_codes

if TYPE_CHECKING:
    from nbprod.diff import Comparison, Section
    from nbprod.project import Run

__all__ = ["diff"]


@click.command()
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@click.option("--only", multiple=True, metavar="SECTIONS", help="Only these sections: `scraps,artifacts`.")
@click.option(
    "--tolerance",
    multiple=True,
    metavar="[SCRAP=]MARGIN",
    help="How far apart numbers may be: `0.01`, `1%`, `auc=0.005`, `auc=rel:1e-6`, `seconds=any`.",
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a page.")
@click.option("--exit-code", "by_code", is_flag=True, help="Exit with 1 if there is a difference that counts.")
@click.option("--json", "as_json", is_flag=True, help="Write the comparison as JSON.")
def diff(
    before: str,
    after: str,
    *,
    only: tuple[str, ...],
    tolerance: tuple[str, ...],
    html: Path | None,
    by_code: bool,
    as_json: bool,
) -> int:
    """Compare two runs.

    Verdict, source, parameters, inputs, environment, scraps, outputs, artifacts, time. What differs from run to run and
    says nothing about results (addresses, times, temporary names) is taken away by named rules, and said. Time counts
    for nothing. Nothing is run.
    """
    from nbprod.cli.difference import show_comparison  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415
    from nbprod.diff import Tolerance  # noqa: PLC0415
    from nbprod.project.diff import compare_runs  # noqa: PLC0415

    sections, margins = _sections(only), Tolerance.parse(tolerance)
    project = open_project()
    runs = finished_run(project, before), finished_run(project, after)
    _refuse_unknown(margins.named, runs)
    found = compare_runs(*runs, tolerance=margins)
    if html is not None:
        _write(html, found, runs, sections)
    if as_json:
        print_json(found.to_json(sections))
    elif html is None:
        show_comparison(output(), found, runs, sections)
    return exit_codes.DIFFERENT if by_code and found.differing(sections) else 0


def _sections(only: tuple[str, ...]) -> tuple[Section, ...]:
    from nbprod.diff import Section  # noqa: PLC0415
    from nbprod.errors import CallerError  # noqa: PLC0415

    asked = [name.strip() for names in only for name in names.split(",") if name.strip()]
    known = [str(each) for each in Section]
    wrong = [name for name in asked if name not in known]
    if wrong:
        raise CallerError(
            f"there is no section {', '.join(wrong)}", expected=f"some of: {', '.join(known)}", found=", ".join(asked)
        )
    return tuple(each for each in Section if not asked or str(each) in asked)


def _refuse_unknown(named: Iterable[str], runs: tuple[Run, Run]) -> None:
    """Refuse a tolerance for a scrap that neither run glued: a slip of the pen would make it count for nothing."""
    from nbprod.errors import NotFound  # noqa: PLC0415

    there = {name for run in runs for name in run.scraps}
    missing = [name for name in named if name not in there]
    if missing:
        raise NotFound(
            f"there is a tolerance for {', '.join(missing)}, which neither run glued",
            expected=f"scraps of: {', '.join(sorted(there)) or 'none'}",
        )


def _write(path: Path, found: Comparison, runs: tuple[Run, Run], sections: tuple[Section, ...]) -> None:
    from nbprod.errors import CallerError  # noqa: PLC0415
    from nbprod.project.diff_page import diff_page  # noqa: PLC0415

    try:
        path.write_bytes(diff_page(found, runs, sections))
    except OSError as error:
        raise CallerError(f"the page cannot be written to {path}", found=error.strerror or str(error)) from error
    click.echo(f"Wrote {path}.", err=True)
