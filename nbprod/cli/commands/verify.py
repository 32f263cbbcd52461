"""`nbprod verify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import exit_codes
from nbprod.cli.trusted import read_checkpoints, trust_options

if TYPE_CHECKING:
    from nbprod.project.verifying import Verifier
    from nbprod.verify import Asked, Conclusion, Trust, Verification

__all__ = ["verify"]

_SIGNS = {
    "passed": ("passed", "green"),
    "failed": ("FAILED", "red"),
    "not yet": ("not yet", "yellow"),
    "not applicable": ("-", "dim"),
    "cannot tell": ("CANNOT TELL", "yellow"),
    "rejected": ("REJECTED", "bold red"),
}


@click.command()
@click.argument("run", required=False, metavar="[RUN|STEP@VERSION|BUNDLE]")
@click.option("--all", "everything", is_flag=True, help="Every event of the log and every run.")
@trust_options
@click.option(
    "--checkpoint",
    "given",
    type=click.File("rb"),
    multiple=True,
    callback=read_checkpoints,
    help="A checkpoint that was kept elsewhere.",
)
@click.option(
    "--seen", type=click.Path(path_type=Path, dir_okay=False), help="The file that remembers what was seen; your own."
)
@click.option("--strict", is_flag=True, help="Ask also for a checkpoint, listed keys of people, and a known root key.")
@click.option(
    "--require-approvals",
    type=click.IntRange(0),
    default=0,
    show_default=False,
    metavar="N",
    help="Ask for N approvals.",
)
@click.option("--require-sign-off", "sign_offs", multiple=True, metavar="NAME", help="Ask for this sign-off.")
@click.option("--by-others", is_flag=True, help="Do not count what whoever ran or published it has said.")
@click.option("--require-clean-git", "clean_git", is_flag=True, help="Ask for a git tree without changes.")
@click.option(
    "--no-bytes", is_flag=True, help="Signatures, keys, events and places only: notebooks and artifacts are not read."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: one object a line.")
def verify(
    run: str | None,
    *,
    everything: bool,
    root: str | None,
    keys: bytes | None,
    given: list[str],
    seen: Path | None,
    strict: bool,
    require_approvals: int,
    sign_offs: tuple[str, ...],
    by_others: bool,
    clean_git: bool,
    no_bytes: bool,
    as_json: bool,
) -> int:
    """Tell whether a run is what was recorded and signed.

    So of a published version, or of a bundle that `nbprod export` wrote.

    Six steps: the signature, the key, every digest, the run's place in the log, the log since it was last looked at,
    and what you ask for. The exit code is 0 if nothing speaks against it, 4 if something was altered, 20 if something
    is missing, 21 if it is unsigned, 22 if nothing that you trust vouches for it.
    """
    from nbprod.record.review import Wanted  # noqa: PLC0415 - `--help` must stay fast
    from nbprod.verify import Asked, Policy  # noqa: PLC0415

    if (run is None) is not everything:
        raise click.UsageError("Give either a RUN, a STEP@VERSION, a bundle or --all.")
    if by_others and not (require_approvals or sign_offs):
        raise click.UsageError(
            "--by-others asks for nothing alone: add --require-approvals N or --require-sign-off NAME."
        )
    if "" in sign_offs:
        raise click.UsageError("--require-sign-off takes a name, such as risk.")
    people = Wanted(approvals=require_approvals, sign_offs=sign_offs, by_others=by_others)
    asked = Asked(
        root=root,
        keys=keys,
        given=given,
        seen=seen,
        policy=Policy.strict(people, clean_git=clean_git) if strict else Policy(people=people, clean_git=clean_git),
        reads=not no_bytes,
    )
    if run is not None and _is_bundle(run):
        return _verify_bundle(Path(run), asked, as_json=as_json)
    from nbprod.cli.session import ledger_of, open_project  # noqa: PLC0415
    from nbprod.project.verifying import Verifier, named  # noqa: PLC0415
    from nbprod.record.ids import RunId  # noqa: PLC0415

    project = open_project(recover=False)
    ledger_of(project)
    subject = None if run is None else named(project, run)
    verifier = Verifier(project, asked)
    if subject is None:
        code = _show_all(verifier, reads=not no_bytes, as_json=as_json)
    else:
        named_by = None if run is None else run.rpartition("@")[2]
        found = verifier.run(subject) if isinstance(subject, RunId) else verifier.version(subject, alias=named_by)
        called = project.home.ledger.run(subject).step if isinstance(subject, RunId) else ""
        _show(found, called=called, log=_log(verifier.trust), as_json=as_json)
        code = exit_codes.of_conclusion(found.conclusion)
    verifier.remember()
    return code


def _is_bundle(text: str) -> bool:
    """Say whether a file is meant: one that is there, or that is called like one."""
    return text.endswith(".zip") or Path(text).is_file()


def _verify_bundle(path: Path, asked: Asked, *, as_json: bool) -> int:
    import os  # noqa: PLC0415

    from nbprod.bundle import open_bundle  # noqa: PLC0415
    from nbprod.verify import Conclusion  # noqa: PLC0415
    from nbprod.verify.bundled import BundleVerifier  # noqa: PLC0415

    found: list[Conclusion] = []
    with open_bundle(path) as bundle:
        verifier = BundleVerifier(bundle, asked, os.environ)
        for run_id, verified in zip(bundle.run_ids, verifier.all(), strict=True):
            first = not found
            found.append(verified.conclusion)
            _show(
                verified,
                called=verifier.step(run_id),
                log=_log(verifier.trust),
                as_json=as_json,
                tells_log=first,
            )
        worst = min(found, key=list(Conclusion).index)
        if worst is Conclusion.VERIFIED:
            verifier.remember()
    if len(found) > 1 and not as_json:
        click.echo(f"Runs: {_counted(Counter(found))}{'' if asked.reads else _UNREAD}.")
    return exit_codes.of_conclusion(worst)


_UNREAD = "; the bytes that they name were not looked at"


def _counted(counts: Counter[Conclusion]) -> str:
    from nbprod.verify import Conclusion  # noqa: PLC0415

    return ", ".join(f"{counts[each]} {each}" for each in Conclusion if each in counts) or "none"


def _show_all(verifier: Verifier, *, reads: bool, as_json: bool) -> int:
    from nbprod.cli.progress import counting  # noqa: PLC0415
    from nbprod.verify import Conclusion  # noqa: PLC0415

    counts: Counter[Conclusion] = Counter()
    worst, waiting = Conclusion.VERIFIED, 0
    order = list(Conclusion)
    with counting("runs verified") as (looked,):
        for number, found in enumerate(verifier.all(looked)):
            worst = min(worst, found.conclusion, key=order.index)
            if number:
                counts[found.conclusion] += 1
                waiting += not found.covered
            if as_json or not number or not found:
                _show(found, log=_log(verifier.trust), as_json=as_json, tells_log=False)  # it is the first's subject
    if not as_json:
        late = f"; {waiting} not yet covered by a checkpoint" if waiting else ""
        click.echo(f"Runs: {_counted(counts)}{late}{'' if reads else _UNREAD}.")
    return exit_codes.of_conclusion(worst)


def _log(trust: Trust) -> str | None:
    """Return the log's name. One that was made anew has another, though the same key may have signed it."""
    return None if trust.current is None else trust.current.log


def _show(found: Verification, *, called: str = "", log: str | None, as_json: bool, tells_log: bool = True) -> None:
    from nbprod.cli.screen import output  # noqa: PLC0415
    from nbprod.cli.screen import text as escaped  # noqa: PLC0415
    from nbprod.cli.values import plain_text  # noqa: PLC0415

    if as_json:
        _print_line({**found.to_json(), "log": log})
        return
    console = output()
    console.print(f"[bold]{escaped(plain_text(f'{called}  {found.subject}'.strip()))}[/]")
    if tells_log and log is not None:
        console.print(f"  [dim]in the log {escaped(plain_text(log))}[/]", soft_wrap=True)
    for check in found.checks:
        word, style = _SIGNS[check.outcome]
        console.print(
            f"  {check.step} {check.name:<12} [{style}]{word:<11}[/] {escaped(plain_text(check.told))}", soft_wrap=True
        )
    good = bool(found)
    verdict = str(found.conclusion).upper() if not good else "verified"
    later = "" if found.covered or not good else ", as far as checkpoints go: some of it is not yet covered by one"
    against = "; [bold red]and somebody whose word counts has REJECTED it[/]" if found.rejected else ""
    console.print(f"  [{'green' if good else 'red'}]{verdict}[/]{later}{against}", soft_wrap=True)


def _print_line(told: dict[str, Any]) -> None:
    from nbprod.cli.screen import json_text  # noqa: PLC0415

    click.echo(json_text(told))
