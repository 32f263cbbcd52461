"""How far a run reproduced another: the levels of reproduction, each with why it is not the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from nbprod.diff.comparison import Comparison, Section
from nbprod.diff.outcome import Outcome
from nbprod.record.status import Status

__all__ = ["Level", "Reached", "reached"]


class Level(IntEnum):
    """What a second run has in common with the first; each holds all that the ones before it do."""

    NONE = -1
    """It did not end as the first one did."""
    RUNS = 0
    """It runs: it ended well, or, where the first one did not, in the same way."""
    SCRAPS = 1
    """Every scrap is there, and within its tolerance."""
    OUTPUTS = 2
    """Every cell put out the same, after normalising."""
    ARTIFACTS = 3
    """Every artifact is there and the same, byte for byte or after a named normaliser."""

    @property
    def label(self) -> str:
        """The level as people say it: `L2`; `none`."""
        return "none" if self is Level.NONE else f"L{int(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far it came.

    Args:
        level: the highest level whose conditions, and those of all below it, are met.
        why_not: what keeps it from the next level; empty at the highest.
        normalisers: names of the rules and normalisers without which it would not have come so far.
    """

    level: Level
    why_not: tuple[str, ...]
    normalisers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"level": self.level.label, "why_not": list(self.why_not), "normalisers": list(self.normalisers)}


def reached(found: Comparison) -> Reached:
    """Return the highest level that the later run reached against the earlier one, and why not the next."""
    level, why_not = Level.NONE, tuple(_runs(found))
    for step, reasons in ((Level.RUNS, _scraps), (Level.SCRAPS, _outputs), (Level.OUTPUTS, _artifacts)):
        if why_not:
            break
        level, why_not = step, tuple(reasons(found))
    else:
        level = level if why_not else Level.ARTIFACTS
    return Reached(level=level, why_not=why_not, normalisers=tuple(dict.fromkeys(_needed(found, level))))


def _runs(found: Comparison) -> Iterator[str]:
    before, after = found.verdict.status
    if not Status(after).good and before != after:
        yield f"it ended as {after}, not as {before}: {found.verdict.reason[1]}"


def _scraps(found: Comparison) -> Iterator[str]:
    for scrap in found.scraps:
        if scrap.outcome is Outcome.DIFFERENT:
            yield f"scrap {scrap.name}: {scrap.before} → {scrap.after}"
        elif not scrap.outcome.same:
            yield f"scrap {scrap.name}: {scrap.outcome}{': ' if scrap.told else ''}{'; '.join(scrap.told)}"


def _outputs(found: Comparison) -> Iterator[str]:
    yield from found.unknown_in(Section.OUTPUTS)
    for cell in found.cells:
        if not cell.outcome.same:
            what = ", ".join(dict.fromkeys(change.what for change in cell.changes))
            yield f"cell {cell.cell}: {cell.outcome}{f' ({what})' if what else ''}"


def _artifacts(found: Comparison) -> Iterator[str]:
    for artifact in found.artifacts:
        if not artifact.outcome.same:
            told = f": {artifact.told[0]}" if artifact.told else ""
            yield f"artifact {artifact.name}: {artifact.outcome}{told}"


def _needed(found: Comparison, level: Level) -> Iterator[str]:
    if level >= Level.SCRAPS and any(scrap.outcome is Outcome.NORMALISED for scrap in found.scraps):
        yield "tolerance of scraps"
    if level >= Level.OUTPUTS:
        yield from (rule for cell in found.cells if cell.outcome.same for rule in cell.rules)
    if level >= Level.ARTIFACTS:
        yield from (each.by for each in found.artifacts if each.outcome is Outcome.NORMALISED)
