"""`nbprod gc`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.project.garbage import Garbage

__all__ = ["gc"]


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--older-than",
    default="7d",
    show_default=True,
    metavar="AGE",
    help="How long ago it must have been put; 1d or more.",
)
@click.option("--foreign", is_flag=True, help="Remove also records of runs that this ledger does not know.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def gc(*, dry_run: bool, older_than: str, foreign: bool, as_json: bool) -> int:
    """Erase what is kept no longer, remove what nothing needs.

    Where the settings say for how long runs are kept (`keep`), older bytes are erased, and tombstones stay. An erasure
    that was not finished is finished.

    What an event, a record or a published step names is never removed, nor what was put less than a day ago, nor what
    was put since a run that is under way began. The ledger must be the only one that uses the store.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.cli.values import size  # noqa: PLC0415
    from nbprod.parameters.duration import parse_duration  # noqa: PLC0415
    from nbprod.project.garbage import collect  # noqa: PLC0415
    from nbprod.project.person import person_of  # noqa: PLC0415
    from nbprod.runner.ports import user_name  # noqa: PLC0415
    from nbprod.verify.erasures import ERASERS  # noqa: PLC0415

    try:
        age = parse_duration(older_than)
    except ValueError as error:
        raise click.BadParameter(f"{older_than!r} is no age: give 7d, 36h or 2w.", param_hint="--older-than") from error
    project = open_project()
    ledger_of(project)
    project.deliver()
    person = person_of(project, *ERASERS)
    found = collect(
        project.home,
        now=project.now(),
        older_than=age,
        dry_run=dry_run,
        foreign=foreign,
        settings=project.settings,
        by=f"nbprod gc, started by {user_name()}",
        sign=None if person is None else person.sign,
    )
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "removed": found.removed,
                "bytes": found.bytes,
                "needed": found.needed,
                "young": found.young,
                "swept": found.swept,
                "until": found.until.isoformat(),
                "retired": [
                    {
                        "run": str(each.run_id),
                        "step": each.step,
                        "why": each.why,
                        "objects": [part.name for part in each.parts],
                        "bytes": sum(part.size for part in each.parts),
                    }
                    for each in found.retired
                ],
                "erased": len(found.erased.removed),
                "waiting": len(found.erased.waiting),
            }
        )
        return 0
    _show_erased(found, dry_run=dry_run)
    click.echo(
        f"{'Would remove' if dry_run else 'Removed'} {found.removed} objects"
        f"{f' ({size(found.bytes)})' if found.removed else ''}; "
        f"{found.needed} are needed, {found.young} are too young."
    )
    if found.swept:
        click.echo(f"Removed {found.swept} temporary files that dead writers left.")
    return 0


def _show_erased(found: Garbage, *, dry_run: bool) -> None:
    from nbprod.cli.commands.erase import show_cleared  # noqa: PLC0415
    from nbprod.cli.values import plain_text, size  # noqa: PLC0415

    for each in found.retired:
        names = ", ".join(part.name for part in each.parts)
        told = f"of run {each.run_id.short} of {each.step}: {names} ({size(sum(part.size for part in each.parts))})"
        click.echo(plain_text(f"{'Would erase' if dry_run else 'Erases'} {told}; {each.why}"))
    if found.erased.removed or found.erased.waiting or found.erased.kept or found.erased.needed:
        show_cleared(found.erased)
