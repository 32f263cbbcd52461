"""`nbprod erase`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nbprod.project.erase import Plan
    from nbprod.project.erasure import Cleared

__all__ = ["erase"]


@click.command()
@click.argument("run")
@click.option("--artifact", "artifacts", multiple=True, metavar="NAME", help="This artifact; may be given repeatedly.")
@click.option(
    "--output", is_flag=True, help="All that its cells put out: the executed notebook, the journal, large scraps."
)
@click.option("--source", is_flag=True, help="The notebook as it was read, with the outputs that were saved in it.")
@click.option("--inputs", is_flag=True, help="The files that it read, as far as they are kept with it.")
@click.option("--touched", is_flag=True, help="The list of what it touched: names of files and hosts.")
@click.option("--all", "everything", is_flag=True, help="Its output and all its artifacts.")
@click.option("--why", required=True, metavar="TEXT", help="The reason; it stays and is shown.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased, and from which runs.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON; erases only with --yes.")
def erase(
    run: str,
    *,
    artifacts: tuple[str, ...],
    output: bool,
    source: bool,
    inputs: bool,
    touched: bool,
    everything: bool,
    why: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Erase bytes of a run for good; a tombstone stays.

    As the law may demand it. The tombstone says who erased what, when and why, with the digests, so that the rest still
    verifies. The record and the ledger stay, with parameters and small scraps. Other runs that have the same bytes lose
    them as well; they are named first, and each gets a tombstone.
    """
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import finished_run, open_project  # noqa: PLC0415
    from nbprod.project.erase import ALL, Choice, carry_out, plan  # noqa: PLC0415
    from nbprod.project.person import person_of  # noqa: PLC0415
    from nbprod.project.words import refuse_secrets  # noqa: PLC0415
    from nbprod.record.parts import PartKind  # noqa: PLC0415
    from nbprod.runner.ports import user_name  # noqa: PLC0415
    from nbprod.verify.erasures import ERASERS  # noqa: PLC0415

    kinds = {PartKind.OUTPUT: output, PartKind.SOURCE: source}
    kinds |= {PartKind.INPUT: inputs, PartKind.TRACE: touched}
    chosen = frozenset(kind for kind, wanted in kinds.items() if wanted) | (ALL if everything else frozenset())
    if not (artifacts or chosen):
        raise click.UsageError("Say what to erase: --artifact NAME, --output, --all, --source, --inputs or --touched.")
    project = open_project()
    refuse_secrets(project, reason=why)
    project.deliver()
    found = finished_run(project, run)
    made = plan(found, Choice(artifacts=artifacts, kinds=chosen), why=why)
    if as_json and (dry_run or not yes):
        print_json(_planned(made))
    elif not as_json:
        _show(made)
    if dry_run or not _agreed(yes=yes):
        return 0
    person = person_of(project, *ERASERS)
    done = carry_out(made, by=user_name(), at=project.now(), sign=None if person is None else person.sign)
    if as_json:
        print_json({**_planned(made), **_done(done), "signed_by": None if person is None else person.key.public.id})
        return 0
    if made.concerned:
        told = (
            "nobody has signed the tombstones" if person is None else f"the tombstones are signed by the key {person}"
        )
        click.echo(f"{told[:1].upper()}{told[1:]}.")
    show_cleared(done)
    return 0


def _agreed(*, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: say --yes to erase, or --dry-run to see what would go.")
    return click.confirm("Erase this for good?")


def _show(made: Plan) -> None:
    from nbprod.cli.values import plain_text, size  # noqa: PLC0415

    run = made.run
    click.echo(f"Of run {run.id.short} of {plain_text(run.step)}, {run.started:%Y-%m-%d %H:%M} UTC:")
    for part in made.parts:
        click.echo(f"  {plain_text(part.name)}  {size(part.size)}  {part.digest}")
    if not made.parts:
        click.echo("  nothing: it left no such bytes")
    for each in made.others:
        names = ", ".join(part.name for part in each.parts)
        told = f"Run {each.run_id.short} of {each.step} has the same bytes, and loses them too: {names}."
        click.echo(plain_text(told))
    for run_id, step in made.handed:
        click.echo(plain_text(f"Run {run_id.short} of {step} was handed such bytes: see what it made of them."))
    if made.parts and not made.concerned:
        click.echo("All of this has its tombstones already; what lies there still is removed.")
    click.echo("Records and events stay as they are, with parameters and small scraps.")


def _planned(made: Plan) -> dict[str, Any]:
    return {
        "run": str(made.run.id),
        "objects": [{"name": part.name, "digest": str(part.digest), "size": part.size} for part in made.parts],
        "concerned": [
            {"run": str(each.run_id), "step": each.step, "objects": [part.name for part in each.parts]}
            for each in made.concerned
        ],
        "handed": [{"run": str(run_id), "step": step} for run_id, step in made.handed],
    }


def _done(done: Cleared) -> dict[str, Any]:
    return {
        "removed": [str(digest) for digest in done.removed],
        "waiting": [str(digest) for digest in done.waiting],
        "under_way": [str(run_id) for run_id in done.under_way],
        "until": None if done.until is None else done.until.isoformat(),
        "kept": {str(digest): [str(run_id) for run_id in runs] for digest, runs in done.kept.items()},
        "needed": {str(digest): what for digest, what in done.needed.items()},
    }


def _waiting(done: Cleared) -> str:
    count = len(done.waiting)
    have = "1 more has its tombstone and waits" if count == 1 else f"{count} more have their tombstones and wait"
    reasons, when = [], []
    if done.under_way:
        reasons.append(f"{', '.join(run_id.short for run_id in done.under_way)} may be about to name the same bytes")
        when.append("once no run is under way")
    if done.until is not None:
        reasons.append(
            "a source stays for seven hours after it was last put, as a run may be in preparation that reads it"
        )
        when.append(f"after {done.until:%Y-%m-%d %H:%M} UTC")
    why = "; ".join(reasons) or "a run that is being prepared may be about to name the same bytes"
    return f"{have}: {why}. Give the same command, or `nbprod gc`, {' and '.join(when) or 'a little later'}."


def show_cleared(done: Cleared) -> None:
    """Say what became of bytes that were to go."""
    from nbprod.cli.values import plain_text, size  # noqa: PLC0415

    if not (done.removed or done.waiting or done.kept or done.needed):
        click.echo("Nothing was left to be removed.")
        return
    count = "1 object" if len(done.removed) == 1 else f"{len(done.removed)} objects"
    click.echo(f"Erased {count}{f' ({size(sum(done.removed.values()))})' if done.removed else ''}.")
    if done.waiting:
        click.echo(_waiting(done))
    for digest, others in done.kept.items():
        names = ", ".join(run_id.short for run_id in others)
        click.echo(f"{digest.short} stays: {names} left the same bytes meanwhile. Give the same command again.")
    for digest, what in done.needed.items():
        click.echo(plain_text(f"{digest.short} has its tombstone and stays: {what}."))
