"""`nbprod approve`, `reject`, `sign-off` and `withdraw`: what people say of a run or a version, and sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nbprod.record.review import Decision

__all__ = ["approve", "reject", "sign_off", "withdraw"]

_Command = Callable[..., Any]


def _common(command: _Command) -> _Command:
    options = (
        click.argument("what", metavar="RUN|STEP@VERSION"),
        click.option("--why", "-m", required=True, metavar="TEXT", help="The reason; it stays and is shown."),
        click.option(
            "--key",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The file with your private key.  [default: NBPROD_KEY, or reviewer.pem of your folder of keys]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Write JSON: the event."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_common
def approve(what: str, *, why: str, key: Path | None, as_json: bool) -> int:
    """Say that a run, or a published version, may be used.

    You sign the digest of its record. A run that is unsigned, that did not succeed, or that does not verify cannot be
    approved. What you say last counts: an approval takes back a rejection of yours.
    """
    return _say(what, Decision.APPROVED, why=why, key=key, as_json=as_json)


@click.command()
@_common
def reject(what: str, *, why: str, key: Path | None, as_json: bool) -> int:
    """Say that a run, or a published version, may not be used.

    A rejection stands, whoever else approves, until you take it back with `approve` or `withdraw`.
    """
    return _say(what, Decision.REJECTED, why=why, key=key, as_json=as_json)


@click.command("sign-off")
@_common
@click.option("--as", "capacity", required=True, metavar="NAME", help="In which respect it is fine, such as risk.")
def sign_off(what: str, *, why: str, capacity: str, key: Path | None, as_json: bool) -> int:
    """Say that a run, or a version, is fine in one respect.

    Such as risk, privacy or four eyes: the settings name the sign-offs that an alias asks for.
    """
    return _say(what, Decision.SIGNED_OFF, why=why, key=key, as_json=as_json, capacity=capacity)


@click.command()
@_common
def withdraw(what: str, *, why: str, key: Path | None, as_json: bool) -> int:
    """Take back what you said of a run or a version.

    All of it: approval, rejection and sign-offs. It stays to be read, and counts no more.
    """
    return _say(what, Decision.WITHDRAWN, why=why, key=key, as_json=as_json)


def _say(what: str, decision: Decision, *, why: str, key: Path | None, as_json: bool, capacity: str = "") -> int:
    from nbprod.cli.screen import print_json  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.cli.values import plain_text  # noqa: PLC0415
    from nbprod.ledger.events import StepReviewed, to_json  # noqa: PLC0415
    from nbprod.project.reviews import aliases_of, review  # noqa: PLC0415

    project = open_project()
    ledger_of(project)
    subject, event, person = review(project, what, decision, why=why, capacity=capacity, key=key)
    pointing: list[str] = []
    if isinstance(event, StepReviewed) and decision is Decision.REJECTED:
        pointing = [f"{event.step}@{alias}" for alias in aliases_of(project, event.step, event.number)]
    stones = subject.run.erased if subject.run is not None else ()
    erased = list(dict.fromkeys(each.name for stone in stones for each in stone.objects))
    if as_json:
        by = {"key": person.key.public.id, "label": person.label}
        print_json({**to_json(event), **by, "pointing": pointing, "erased": erased})
        return 0
    words = {
        Decision.APPROVED: f"Approved {subject}",
        Decision.REJECTED: f"Rejected {subject}",
        Decision.SIGNED_OFF: f"Signed off {subject} as {capacity!r}",
        Decision.WITHDRAWN: f"Took back what was said of {subject}",
    }
    click.echo(plain_text(f"{words[decision]}, signed by the key {person}."))
    if erased and decision in (Decision.APPROVED, Decision.SIGNED_OFF):
        click.echo(plain_text(f"Of it nobody can read any more, as it was erased: {', '.join(erased)}."), err=True)
    for name in pointing:
        move = f"nbprod step alias {' '.join(name.rsplit('@', 1))} VERSION"
        click.echo(
            plain_text(f"Warning: {name} points at it still, and runs by that name go on. Move it: `{move}`"), err=True
        )
    if person.development:
        click.echo("A development key vouches for nobody: see `nbprod keys new reviewer`.", err=True)
    return 0
