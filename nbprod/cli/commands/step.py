"""`nbprod step`: published steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbprod.ledger import StoredEvent

__all__ = ["step"]


@click.group()
def step() -> None:
    """Look at published steps; move their aliases.

    `step history STEP` tells who published, moved and approved what, `step show train@3` what people said of a version,
    `step diff train@2 train@3` in what two versions differ, `step alias train production 3` lets train@production be
    version 3.
    """


@step.command()
@click.argument("name", metavar="STEP")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def history(name: str, *, as_json: bool) -> int:
    """Tell who published a step, moved its aliases and approved its versions, when and why.

    `nbprod verify STEP@VERSION` tells whose keys have signed that, and whether they may.
    """
    from nbprod.cli.screen import output, print_json, table  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.cli.values import moment  # noqa: PLC0415
    from nbprod.errors import NotFound  # noqa: PLC0415
    from nbprod.ledger.events import to_json  # noqa: PLC0415

    found = list(ledger_of(open_project(recover=False)).step_events(name))
    if not found:
        raise NotFound(f"step {name!r} was never published", hint=f"Freeze it with `nbprod publish {name}`.")
    if as_json:
        print_json([to_json(each.event) for each in found])
        return 0
    shown = table("when", "what", "who", "why", "signed")
    for each in found:
        what, who, why = _told(each)
        signed = "yes" if getattr(each.event, "attestation", None) is not None else "no"
        shown.add_row(moment(each.event.at), escaped(what), escaped(who), escaped(why), signed)
    output().print(shown)
    return 0


def _told(stored: StoredEvent) -> tuple[str, str, str]:
    from nbprod.ledger.events import AliasMoved, StepPublished, StepReviewed  # noqa: PLC0415

    event = stored.event
    if isinstance(event, StepPublished):
        return f"published version {event.number}", event.by, event.note
    if isinstance(event, StepReviewed):
        aspect = f" as {event.capacity}" if event.capacity else ""
        return f"version {event.number}: {event.decision}{aspect}", event.by, event.why
    assert isinstance(event, AliasMoved)  # noqa: S101 - there are no others
    came = "" if event.before is None else f", from version {event.before}"
    where = "was taken away" if event.number is None else f"points at version {event.number}"
    return f"{event.alias} {where}{came}", event.by, event.why


@step.command()
@click.argument("version", metavar="STEP@VERSION")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def show(version: str, *, as_json: bool) -> int:
    """Show a published version: who published it, and what people have said of it."""
    from nbprod.cli.record import show_reviews  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.cli.values import plain_text  # noqa: PLC0415
    from nbprod.ledger.events import to_json  # noqa: PLC0415
    from nbprod.project.reviews import aliases_of, spoken_json, standing_json, version_of  # noqa: PLC0415

    project = open_project(recover=False)
    ledger_of(project)
    found = version_of(project, version)
    aliases = aliases_of(project, found.event.step, found.event.number)
    if as_json:
        told = {
            **to_json(found.event),
            "aliases": list(aliases),
            **standing_json(found.standing),
            "reviews": spoken_json(found.spoken),
        }
        print_json({**told, "signed_by": found.publication.key_id})
        return 0
    console = output()
    console.print(f"[bold]{escaped(plain_text(found.event.step))}@{found.event.number}[/]")
    console.print(f"{escaped(plain_text(found.publication.check.told))}", soft_wrap=True, highlight=False)
    if found.event.note:
        console.print(escaped(plain_text(found.event.note)), soft_wrap=True)
    if aliases:
        where = f"{', '.join(f'{found.event.step}@{name}' for name in aliases)} {_verb(aliases)} at it"
        style = "bold red" if found.standing.rejections else ""
        console.print(escaped(where), style=style or None, soft_wrap=True, highlight=False)
    show_reviews(console, found.spoken, found.standing.word)
    if not found.spoken:
        console.print("Nobody has approved or rejected it.")
    return 0


def _verb(aliases: Sequence[str]) -> str:
    return "points" if len(aliases) == 1 else "point"


@step.command()
@click.argument("before", metavar="STEP@VERSION")
@click.argument("after", metavar="STEP@VERSION")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def diff(before: str, after: str, *, as_json: bool) -> int:
    """Show in what two versions differ: cells, parameters, settings and contract, modules."""
    from nbprod.cli.screen import output, print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.session import open_project  # noqa: PLC0415
    from nbprod.cli.values import plain_text  # noqa: PLC0415
    from nbprod.project.published import diff_versions  # noqa: PLC0415

    changes = diff_versions(open_project(recover=False), before, after)
    if as_json:
        print_json([each.to_json() for each in changes])
        return 0
    console = output()
    if not changes:
        console.print("No difference.")
    for each in changes:
        console.print(f"[bold]{each.part} {escaped(plain_text(each.name))}[/]")
        for line in each.lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            console.print(f"  {plain_text(line)}", style=style or None, markup=False, soft_wrap=True)
    return 0


@step.command()
@click.argument("name", metavar="STEP")
@click.argument("alias")
@click.argument("version", type=int, required=False)
@click.option("--remove", is_flag=True, help="Take the alias away.")
@click.option("--why", "-m", default="", help="The reason, for people.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: the event, or null where it is there already.")
def alias(name: str, alias: str, version: int | None, *, remove: bool, why: str, as_json: bool) -> int:
    """Let an alias point at a version of a step."""
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.cli.values import plain_text  # noqa: PLC0415
    from nbprod.ledger.events import to_json  # noqa: PLC0415
    from nbprod.project.published import set_alias  # noqa: PLC0415

    if (version is None) is not remove:
        raise click.UsageError("Give either the VERSION that the alias is to point at, or --remove.")
    project = open_project(recover=False)
    ledger_of(project)
    moved = set_alias(project, name, alias, version, why=why)
    if as_json:
        print_json(None if moved is None else to_json(moved))
    elif moved is None:
        click.echo(f"{plain_text(name)}@{plain_text(alias)} is where it was.")
    else:
        unsigned = "; signed by nobody (`nbprod keys new promoter`)" if moved.attestation is None else ""
        where = "was taken away; it pointed at" if version is None else "points at"
        number = moved.before if version is None else version
        click.echo(plain_text(f"{name}@{alias} {where} version {number}{unsigned}."))
    return 0
