"""`nbprod export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.project.export import Exported

__all__ = ["export"]


@click.command()
@click.argument("run")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write it; by default STEP-RUN.nbprod.zip in the current folder.",
)
@click.option("--with-upstream", is_flag=True, help="Take along the runs whose results it used, and theirs.")
@click.option("--without-inputs", is_flag=True, help="Leave out the files that it read, and artifacts handed to it.")
@click.option("--max-size", metavar="SIZE", help="Refuse to write more than this, such as '2 GiB'; by default 10 GiB.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def export(
    run: str,
    *,
    output: Path | None,
    with_upstream: bool,
    without_inputs: bool,
    max_size: str | None,
    force: bool,
    as_json: bool,
) -> int:
    """Write a run with all that proves it into one file.

    The file is a zip: notebook, page, record, signatures, the log's proofs, keys, artifacts, and the inputs that are
    kept. `nbprod verify FILE` checks it on a machine that has never seen this project. A checkpoint is made first if
    none covers the run.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415
    from nbprod.parameters.size import setting_size  # noqa: PLC0415
    from nbprod.project.export import LARGEST  # noqa: PLC0415
    from nbprod.project.export import export as export_run  # noqa: PLC0415
    from nbprod.runner.started import file_stem  # noqa: PLC0415

    largest = LARGEST if max_size is None else setting_size(int(max_size) if max_size.isdecimal() else max_size)
    if largest is None:
        raise click.UsageError("--max-size takes a size such as '2 GiB', or a number of bytes.")
    if output == Path("-"):
        raise click.UsageError("A bundle is a file that is sealed when it is whole: name one, -o FILE; - is none.")
    project = open_project()
    found = finished_run(project, run)
    project.deliver()
    made = export_run(
        project,
        found,
        output or Path(f"{file_stem(found.step)}-{found.id.short}.nbprod.zip"),
        upstream=with_upstream,
        inputs=not without_inputs,
        largest=largest,
        force=force,
    )
    if as_json:
        print_json(
            {
                "path": str(made.path),
                "size": made.size,
                "runs": [str(each) for each in made.runs],
                "members": made.members,
                "absent": [
                    {"run": str(each.run), "what": each.what, "digest": str(each.digest), "why": each.why}
                    for each in made.absent
                ],
                "root": made.root,
                "covered": made.covered,
            }
        )
        return 0
    _show(made)
    return 0


def _show(made: Exported) -> None:
    from nbprod.cli.values import plain_text, size  # noqa: PLC0415
    from nbprod.record.counted import counted  # noqa: PLC0415

    count = f"{counted(len(made.runs), 'run')}, {counted(made.members, 'file')}"
    click.echo(f"{made.path}  {count}, {size(made.size)}")
    for each in made.absent:
        click.echo(plain_text(f"Not in it, of run {each.run.short}: {each.what.rstrip(',')}: {each.why}."))
    if not made.covered:
        click.echo("No checkpoint covers all of it: there is no key here that may sign one (see `nbprod keys`).")
    if made.root is not None:
        click.echo(f"Tell its reader the id of the root key by another way: {made.root}")
