"""What came of executing a run again, for a person in a terminal who need not read code."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nbprod.cli.screen import text as escaped
from nbprod.cli.values import moment, plain_text
from nbprod.errors import NbprodError, NotFound
from nbprod.ledger.reproduced import reproductions
from nbprod.printable import printable
from nbprod.record.reproduced import Reproduced, level_text

if TYPE_CHECKING:
    from nbprod.diff import Outcome
    from nbprod.diff.artifacts import ArtifactComparison
    from nbprod.diff.cells import CellComparison
    from nbprod.diff.scraps import ScrapComparison
    from nbprod.ledger.events import RunReproduced
    from nbprod.project.home import Home
    from nbprod.project.reproduce import Reproduction
    from nbprod.record.ids import RunId

__all__ = ["reproduction_lines", "show_reproduction", "show_together"]

_TOLD = 8
"""Lines of a difference that are shown; `--json` and `nbprod diff` have all."""
_LINES = 3
"""Lines of one output that are shown of each run."""
_WIDTH = 110
_MOST = 8


def show_reproduction(console: Console, found: Reproduction, *, asked: int) -> None:
    """Show a reproduction: before it, then cell by cell, scraps, artifacts, and the level in plain words.

    Args:
        console: where.
        found: what came of it.
        asked: the level that was asked for.
    """
    stated, compared = found.stated, found.comparison
    console.print(f"[bold]{_safe(found.run.step)}[/]  run {stated.first} executed again as run {stated.second}")
    console.print(f"  the first run is {_safe(_trust(found))}", soft_wrap=True)
    _some(console, "environment", [str(each) for each in stated.environment], "the same, package by package")
    if stated.rebuilt:
        console.print("  [dim]environment[/]  installed anew from the record")
    _some(console, "machine", [str(each) for each in stated.machine])
    _some(console, "missing", stated.missing)
    _some(console, "note", [note for note in stated.notes if note not in found.beliefs])
    console.print("\n[bold]Cells[/]")
    for cell in compared.cells:
        _line(console, f"{cell.cell:>4}  {_safe(cell.title[:48]):<48}", cell.outcome, cell.rules, _cell_changes(cell))
    if compared.scraps:
        console.print("\n[bold]Scraps[/]")
    for scrap in compared.scraps:
        _line(console, f"  {_safe(scrap.name):<52}", scrap.outcome, (), _scrap_changes(scrap))
    if compared.artifacts:
        console.print("\n[bold]Artifacts[/]")
    for each in compared.artifacts:
        _line(console, f"  {_safe(each.name):<52}", each.outcome, (each.by,) if each.by else (), _told(each))
    console.print(f"\n[bold {_style(found, asked)}]{_safe(stated.told)}[/]", soft_wrap=True)
    for reason in found.reached.why_not[:_MOST]:
        console.print(f"  no more, because: {_safe(reason)}", soft_wrap=True)
    if _reached(found) < asked:
        console.print(f"Asked for was L{asked}.")
    if found.folder is not None:
        console.print(f"  folder  {_safe(str(found.folder))}", soft_wrap=True)
    _next(console, found)


def _trust(found: Reproduction) -> str:
    """Return what verifying the first run came to, and what it had to believe."""
    later = "" if found.verification.covered else ", as far as checkpoints go: some of it is not yet covered by one"
    named = ", or name the one that you know: --root KEY" if found.beliefs else ""
    return f"{'; '.join((found.stated.verified, *found.beliefs))}{named}{later}"


def show_together(console: Console, found: Sequence[Reproduction], *, asked: int) -> None:
    """Show in a line for each what several came to, in the order in which they were executed.

    Args:
        console: where.
        found: what came of each.
        asked: the level that was asked for.
    """
    console.print(f"\n[bold]Together[/], {len(found)} runs")
    for each in found:
        told = f"[{_style(each, asked)}]{_safe(each.stated.told)}[/]"
        console.print(f"  {_safe(each.run.step):<16} {each.stated.first.short}  {told}", soft_wrap=True)


def _reached(found: Reproduction) -> int:
    return -1 if found.level is None else found.level


def _style(found: Reproduction, asked: int) -> str:
    return "red" if _reached(found) < asked else "yellow" if found.stated.ending else "green"


def _next(console: Console, found: Reproduction) -> None:
    """Show how to look at it more closely."""
    where, stated = found.run.home.root, found.stated
    there = "" if Path.cwd().is_relative_to(where) else f"cd {_safe(shlex.quote(str(where)))}; "
    console.print(f"  [dim]{there}nbprod show {stated.second.short}[/]", soft_wrap=True)
    if _knows(found.run.home, stated.first):
        console.print(f"  [dim]{there}nbprod diff {stated.first.short} {stated.second.short}[/]", soft_wrap=True)


def _knows(home: Home, run_id: RunId) -> bool:
    """Say whether a run is in a ledger: that of a bundle need not be."""
    try:
        home.ledger.run(run_id)
    except NotFound:
        return False
    return True


def _line(console: Console, head: str, outcome: Outcome, rules: Sequence[str], changes: Iterable[str]) -> None:
    style = "green" if outcome.same else "red"
    by = f"  [dim]({_safe(', '.join(rules))})[/]" if rules else ""
    console.print(f"{head}  [{style}]{outcome}[/]{by}", soft_wrap=True)
    if outcome.same:
        return
    for number, told in enumerate(changes):
        if number == _TOLD:
            console.print("          …")
            break
        console.print(f"          {_safe(told[:_WIDTH])}", soft_wrap=True)


def _cell_changes(cell: CellComparison) -> Iterable[str]:
    for change in cell.changes:
        first, *more = printable(change.told).splitlines() or [""]
        yield f"{change.what}{': ' if first else ''}{first}"
        yield from more
        differing = [line for line in change.lines if not line.startswith("  ")]
        shown = [line for sign in "-+" for line in [each for each in differing if each[:1] == sign][:_LINES]]
        yield from map(printable, shown)
        if len(differing) > len(shown):
            yield f"… {len(differing) - len(shown)} more lines of {change.what} differ: --json has them"


def _scrap_changes(scrap: ScrapComparison) -> Iterable[str]:
    yield f"{scrap.before} → {scrap.after}"
    yield from scrap.told


def _told(each: ArtifactComparison) -> Iterable[str]:
    return each.told


def _some(console: Console, what: str, lines: Sequence[str], none: str = "") -> None:
    if not lines and none:
        console.print(f"  [dim]{what}[/]  {none}")
    for line in lines[:_MOST]:
        console.print(f"  [dim]{what}[/]  {_safe(line)}", soft_wrap=True)
    if len(lines) > _MOST:
        console.print(f"  [dim]{what}[/]  and {len(lines) - _MOST} more: --json has all")


def reproduction_lines(home: Home, run_id: RunId) -> Iterable[tuple[str, str]]:
    """Yield, for the head of a run's record, what is told of its being executed again."""
    for event in reproductions(home.ledger, run_id):
        told = "; ".join((level_text(event.level), *_caveats(home, event)))
        if event.first == run_id:
            yield "reproduced", f"by run {event.second.short}, {moment(event.at)}: {told}"
        else:
            yield "reproduces", f"run {event.first}: {told}"


def _caveats(home: Home, event: RunReproduced) -> Iterable[str]:
    try:
        yield from Reproduced.from_bytes(home.read(event.statement, event.run_id)).caveats
    except NbprodError:
        yield "what is stated of it cannot be read"


def _safe(text: str) -> str:
    return escaped(plain_text(text))
