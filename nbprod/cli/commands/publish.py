"""`nbprod publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.publish import Publication

__all__ = ["publish"]


@click.command()
@click.argument("steps", nargs=-1, required=True, metavar="STEP...")
@click.option("--alias", metavar="NAME", help="A name that is to point at the version, such as production.")
@click.option("--note", "-m", default="", help="A note for people.")
@click.option("--allow-dirty", is_flag=True, help="Publish changes that are not committed; the record says so.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def publish(steps: tuple[str, ...], *, alias: str | None, note: str, allow_dirty: bool, as_json: bool) -> int:
    """Freeze steps under their next versions.

    Notebook, parameters, settings, contract and local modules go into the store. `nbprod run STEP@3` and
    `notebook("STEP@production")` then run what was frozen, whatever the working tree says.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.project.published import publish_step  # noqa: PLC0415

    project = open_project(recover=False)
    done = [publish_step(project, step, note=note, allow_dirty=allow_dirty, alias=alias) for step in steps]
    if as_json:
        print_json([_json(each, alias) for each in done])
        return 0
    for each in done:
        modules = len(each.manifest.modules)
        with_it = f" with {modules} local module{'s' * (modules != 1)}" if modules else ""
        what = (
            f"Published {each.step}@{each.version}{with_it}" if each.new else f"{each.step}@{each.version} is as it was"
        )
        dirty = each.manifest.git is not None and each.manifest.git.get("dirty")
        unsigned = each.new and not each.signed
        told = [what, *(["with changes that are not committed"] if each.new and dirty else [])]
        told += ["signed by nobody (`nbprod keys new promoter`)"] if unsigned else []
        click.echo(", ".join(told) + (f"; {each.step}@{alias} points at it." if alias else "."))
    return 0


def _json(publication: Publication, alias: str | None) -> dict[str, object]:
    return {
        "step": publication.step,
        "version": publication.version,
        "new": publication.new,
        "manifest": str(publication.digest),
        "alias": alias,
        "modules": [module.path for module in publication.manifest.modules],
        "git": publication.manifest.git,
        "signed": publication.signed,
    }
