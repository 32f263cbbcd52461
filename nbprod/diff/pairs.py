"""Which cells of two source notebooks belong together."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

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

    nbdime tells, where it is installed (`nbprod[diff]`): by how much of their text is alike. Else cells with the same
    text come first; between those, cells of one kind with the same id or half of their lines in common. In both, a
    cell that was moved past others counts as removed and added.
    """
    return tuple(_by_nbdime(before, after) if find_spec("nbdime") else _by_lines(before, after))


def _by_nbdime(before: Notebook, after: Notebook) -> Iterator[Pair]:
    from nbdime.diffing.notebooks import diff_notebooks  # noqa: PLC0415 - optional, and takes a second to import

    ops = diff_notebooks(_sources(before), _sources(after))
    changed = [op["diff"] for op in ops if op["key"] == "cells"]
    first = second = 0
    for op in changed[0] if changed else ():
        if op["op"] == "patch":
            continue
        while first < op["key"]:
            yield Pair(before=first, after=second)
            first, second = first + 1, second + 1
        if op["op"] == "addrange":
            for _ in op["valuelist"]:
                yield Pair(before=None, after=second)
                second += 1
        else:
            for _ in range(op["length"]):
                yield Pair(before=first, after=None)
                first += 1
    for number in range(first, len(before.cells)):
        yield Pair(before=number, after=number + second - first)


def _sources(notebook: Notebook) -> dict[str, Any]:
    """Return what of a notebook is source, as nbformat has it."""
    cells: list[dict[str, Any]] = [
        {
            "cell_type": cell.kind,
            "source": cell.source,
            "metadata": {},
            **({"outputs": [], "execution_count": None} if cell.kind == "code" else {}),
        }
        for cell in notebook.cells
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def _by_lines(before: Notebook, after: Notebook) -> Iterator[Pair]:
    keys = [[(cell.kind, cell.source, cell.tags) for cell in each.cells] for each in (before, after)]
    matcher = difflib.SequenceMatcher(a=keys[0], b=keys[1], autojunk=False)
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind == "equal":
            yield from (Pair(before=a, after=b) for a, b in zip(range(start, end), range(first, last), strict=True))
        else:
            yield from _gap(before.cells[start:end], after.cells[first:last])


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
