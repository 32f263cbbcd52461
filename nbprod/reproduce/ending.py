"""How the endings of two runs compare where one of them is bad, and how far such a run can come at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbprod.diff import Comparison, Level, Reached
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellOutcome, Verdict

__all__ = ["Ending", "compare_endings", "limited"]

_FINE = (CellStatus.OK, CellStatus.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How two endings compare.

    Args:
        alike: whether the later run ended in the same way: as the same thing, at the same cell, with the same error.
        told: that in words, without what cells put out.
    """

    alike: bool
    told: str


def compare_endings(before: Verdict, after: Verdict, found: Comparison) -> Ending | None:
    """Return how the endings of two runs compare; None where both are good.

    Args:
        before: the first run's verdict.
        after: the verdict of the one that executed it again.
        found: the two runs, compared.
    """
    if before.status.good and after.status.good:
        return None
    if before.status is not after.status:
        return Ending(alike=False, told=f"it ended as {after.status}, not as {before.status}")
    cells = [_cell_that_ended(verdict.cells) for verdict in (before, after)]
    first, second = cells
    places = [_place(each) for each in cells]
    if places[0] != places[1]:
        return Ending(alike=False, told=f"it ended as {after.status} as well, but {places[1]}, not {places[0]}")
    told = f"it ended as {after.status} as before"
    if first is not None and second is not None:
        told += f", {places[0]}"
        if first.status is not second.status or not _same_error(first, second, found):
            return Ending(alike=False, told=f"{told}, but with another error")
        told += ", with the same error" if first.error is not None else ""
    if found.verdict.contract:
        return Ending(alike=False, told=f"{told}, but its contract is not met in other lines")
    return Ending(alike=True, told=told)


def limited(far: Reached, ending: Ending | None, found: Comparison) -> Reached:
    """Return how far a run came, where a bad ending limits it: to what there was to be compared.

    Args:
        far: how far it came as if an ending were good.
        ending: how the endings compare; None where both are good.
        found: the two runs, compared.
    """
    if ending is None:
        return far
    if not ending.alike:
        return Reached(level=Level.NONE, why_not=(ending.told,), normalisers=())
    if found.artifacts or far.level < Level.ARTIFACTS:
        return far
    why_not = ("it ended badly and left no artifacts: there is nothing more to compare",)
    return Reached(level=Level.OUTPUTS, why_not=why_not, normalisers=far.normalisers)


def _cell_that_ended(cells: Sequence[CellOutcome]) -> CellOutcome | None:
    """Return the cell that made an end of it; None if no cell did."""
    return next((each for each in cells if each.status not in _FINE), None)


def _place(cell: CellOutcome | None) -> str:
    if cell is None:
        return "at no cell"
    what = "the injected parameters" if cell.cell is None else f"cell {cell.cell}"
    return f"{'before' if cell.status is CellStatus.NOT_RUN else 'at'} {what}"


def _same_error(first: CellOutcome, second: CellOutcome, found: Comparison) -> bool:
    """Say whether two cells raised the same; messages may differ in what normalising takes away."""
    if first.error == second.error:
        return True
    if first.error is None or second.error is None or first.error.name != second.error.name:
        return False
    compared = next((each for each in found.cells if each.before == first.cell), None)
    return compared is not None and all(change.what != "error" for change in compared.changes)
