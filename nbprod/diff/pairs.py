"""Which cells of two source notebooks belong together."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from nbprod.notebook import Cell, Notebook

__all__ = ["Pair", "pairs_of"]

_ALIKE = 0.5
"""Share of lines that two cells in the same gap must have in common to count as one that was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two cells that belong together, by their indices; None where one notebook has no such cell."""

    before: int | None
    after: int | None


def pairs_of(before: Notebook, after: Notebook) -> tuple[Pair, ...]:
    """Return which cells belong together, in the order of the earlier notebook, what is new where it was put in.

    Cells with the same text come first; between those, cells of one kind with the same id or half of their lines in
    common. A cell that was moved past others counts as removed and added.
    """
    keys = [[(cell.kind, cell.source, cell.tags) for cell in each.cells] for each in (before, after)]
    matcher = difflib.SequenceMatcher(a=keys[0], b=keys[1], autojunk=False)
    made: list[Pair] = []
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind == "equal":
            made += (Pair(before=a, after=b) for a, b in zip(range(start, end), range(first, last), strict=True))
        else:
            made += _gap(before.cells[start:end], after.cells[first:last])
    return tuple(made)


def _gap(before: tuple[Cell, ...], after: tuple[Cell, ...]) -> Iterator[Pair]:
    """Pair the cells between two that are the same, in order."""
    place = 0
    for cell in before:
        found = next((n for n in range(place, len(after)) if _belong(cell, after[n])), None)
        if found is None:
            yield Pair(before=cell.index, after=None)
            continue
        yield from (Pair(before=None, after=new.index) for new in after[place:found])
        yield Pair(before=cell.index, after=after[found].index)
        place = found + 1
    yield from (Pair(before=None, after=new.index) for new in after[place:])


def _belong(before: Cell, after: Cell) -> bool:
    if before.kind != after.kind:
        return False
    if before.id == after.id:
        return True
    lines = before.source.splitlines(), after.source.splitlines()
    return difflib.SequenceMatcher(a=lines[0], b=lines[1], autojunk=False).ratio() >= _ALIKE
