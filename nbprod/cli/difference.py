"""Two runs side by side, for a person in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from nbprod.cli.screen import table
from nbprod.cli.screen import text as escaped
from nbprod.cli.values import duration, plain_text, size, when
from nbprod.diff import Outcome, Section
from nbprod.diff.words import headline, section_line

if TYPE_CHECKING:
    from nbprod.diff import Comparison
    from nbprod.diff.artifacts import ArtifactComparison
    from nbprod.diff.cells import CellComparison
    from nbprod.diff.scraps import ScrapComparison
    from nbprod.project import Run
    from nbprod.record.compare import Difference

__all__ = ["show_comparison"]

_STYLES = {
    Outcome.EQUAL: "green",
    Outcome.NORMALISED: "green",
    Outcome.UNKNOWN: "yellow",
}
_LINE_STYLES = {"-": "red", "+": "green"}
_CELLS = 10
"""Cells whose lines are shown; of the others it is only said that they differ."""


def show_comparison(console: Console, found: Comparison, runs: tuple[Run, Run], sections: Sequence[Section]) -> None:
    """Show what differs between two runs, section by section.

    Args:
        console: where.
        found: the comparison.
        runs: the two runs.
        sections: which sections are shown.
    """
    for sign, run in zip("-+", runs, strict=True):
        console.print(
            f"[{_LINE_STYLES[sign]}]{sign}[/] [bold]{_safe(run.step)}[/]  {run.id.short}  "
            f"{when(run.started)}  {run.status}",
            soft_wrap=True,
        )
    console.print(f"{_safe(headline(found, sections))}\n", soft_wrap=True)
    for section in sections:
        differs = section in found.differing([section])
        style = "dim" if section is Section.TIME else "red" if differs else "green"
        console.print(
            f"[bold]{section.value.capitalize():<12}[/] [{style}]{_safe(section_line(found, section))}[/]",
            soft_wrap=True,
        )
        for why in found.unknown_in(section):
            console.print(f"  [yellow]{_safe(why)}[/]", soft_wrap=True)
        _show_section(console, found, section)


def _show_section(console: Console, found: Comparison, section: Section) -> None:
    if section is Section.VERDICT:
        for line in _verdict(found):
            console.print(f"  {_safe(line)}", soft_wrap=True)
    elif section is Section.SOURCE:
        for change in found.source:
            number = change.after if change.before is None else change.before
            where = change.kind if number is None else f"cell {number} ({change.kind})"
            console.print(f"  {_safe(where)} {change.change}")
            _lines(console, change.lines)
    elif section in (Section.PARAMETERS, Section.INPUTS, Section.ENVIRONMENT):
        _differences(console, {Section.PARAMETERS: found.parameters, Section.INPUTS: found.inputs}.get(section))
        if section is Section.ENVIRONMENT:
            _differences(console, found.environment)
            _differences(console, found.machine, note="the machine; counts for nothing")
    elif section is Section.SCRAPS:
        _scraps(console, [scrap for scrap in found.scraps if scrap.outcome is not Outcome.EQUAL])
    elif section is Section.OUTPUTS:
        _cells(console, [cell for cell in found.cells if cell.outcome is not Outcome.EQUAL])
    elif section is Section.ARTIFACTS:
        _artifacts(console, [each for each in found.artifacts if each.outcome is not Outcome.EQUAL])
    else:
        _slowest(console, found.cells)


def _verdict(found: Comparison) -> Iterator[str]:
    if found.verdict.status[0] != found.verdict.status[1]:
        yield f"- {found.verdict.status[0]}: {found.verdict.reason[0]}"
        yield f"+ {found.verdict.status[1]}: {found.verdict.reason[1]}"
    yield from found.verdict.contract


def _differences(console: Console, found: Sequence[Difference] | None, note: str = "") -> None:
    if not found:
        return
    shown = table("", "", "", "")
    shown.show_header = False
    for each in found:
        what = f"{each.component} {each.name}" if each.component not in ("parameter", "machine") else each.name
        shown.add_row(
            f"  {_safe(what)}", _safe(each.before), f"→ {_safe(each.after)}", f"[dim]{_safe(note)}[/]" if note else ""
        )
    console.print(shown)


def _scraps(console: Console, scraps: Sequence[ScrapComparison]) -> None:
    if not scraps:
        return
    shown = table("  scrap", "before", "after", "change", "", right=("change",))
    for scrap in scraps:
        change = "" if scrap.change is None else f"{scrap.change:+.4g}"
        ratio = "" if scrap.ratio is None else f" ({scrap.ratio:+.2%})"
        note = f"within {scrap.margin}" if scrap.margin else "; ".join(scrap.told) or str(scrap.outcome)
        style = _STYLES.get(scrap.outcome, "red")
        cells = (f"  {scrap.name}", scrap.before, scrap.after, change + ratio)
        shown.add_row(*map(_safe, cells), f"[{style}]{_safe(note)}[/]")
    console.print(shown)


def _cells(console: Console, cells: Sequence[CellComparison]) -> None:
    told = 0
    for cell in cells:
        note = f" [dim]({_safe(', '.join(cell.rules))})[/]" if cell.outcome.same and cell.rules else ""
        console.print(
            f"  cell {cell.cell} [{_STYLES.get(cell.outcome, 'red')}]{cell.outcome}[/]{note}"
            f"  [dim]{_safe(cell.title)}[/]",
            soft_wrap=True,
        )
        if cell.note:
            console.print(f"    [yellow]{_safe(cell.note)}[/]")
        if cell.outcome.same:
            continue
        told += 1
        for change in cell.changes if told <= _CELLS else ():
            console.print(f"    {_safe(change.what)}{': ' if change.told else ''}{_safe(change.told)}", soft_wrap=True)
            _lines(console, change.lines)


def _lines(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        style = _LINE_STYLES.get(line[:1], "dim")
        console.print(f"      [{style}]{_safe(line)}[/]", soft_wrap=True)


def _artifacts(console: Console, artifacts: Sequence[ArtifactComparison]) -> None:
    for each in artifacts:
        sizes = [size(side.size) for side in (each.before, each.after) if side is not None]
        by = f" [dim]({_safe(each.by)})[/]" if each.by else ""
        console.print(
            f"  {_safe(each.name)} [{_STYLES.get(each.outcome, 'red')}]{each.outcome}[/]{by}"
            f"  [dim]{' → '.join(dict.fromkeys(sizes))}[/]",
            soft_wrap=True,
        )
        for line in each.told:
            console.print(f"      {_safe(line)}", soft_wrap=True)


def _slowest(console: Console, cells: Sequence[CellComparison]) -> None:
    """Show the cells whose times are furthest apart."""
    apart = [cell for cell in cells if None not in cell.seconds]
    apart.sort(key=lambda cell: -abs((cell.seconds[1] or 0) - (cell.seconds[0] or 0)))
    for cell in apart[:3]:
        times = [duration(each) for each in cell.seconds]
        if times[0] != times[1]:
            console.print(f"  cell {cell.cell}  {times[0]} → {times[1]}  [dim]{_safe(cell.title)}[/]", soft_wrap=True)


def _safe(text: str) -> str:
    return escaped(plain_text(text))
