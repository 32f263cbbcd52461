"""Executed notebooks, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbprod.diff.outcome import Outcome
from nbprod.diff.outputs import OutputChange, compare_outputs
from nbprod.diff.pairs import Pair
from nbprod.diff.side import Own
from nbprod.diff.tolerance import Tolerance
from nbprod.notebook import Notebook
from nbprod.record.status import CellStatus

__all__ = ["CellComparison", "ExecutedCell", "compare_cells", "executed_cells"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedCell:
    """A code cell of an executed notebook.

    Args:
        cell: index in the source notebook; what pairs of cells mean.
        title: the heading above it, else its first line that says something; for people.
        outputs: nbformat 4.
        status: how it ended, as the run's verdict says; empty where there is no verdict.
        seconds: how long it took; None where that is not known.
        truncated: whether output was cut.
    """

    cell: int
    title: str
    outputs: Sequence[Mapping[str, Any]]
    status: str = ""
    seconds: float | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CellComparison:
    """A code cell of two runs.

    Args:
        before: index in the earlier source notebook; None where it is not there.
        after: index in the later one.
        title: the heading above it, else its first line that says something; for people.
        outcome: how its outputs and its ending compare.
        rules: names of the rules that were needed for `equal after normalising`.
        changes: what differs.
        status: how it ended, earlier and later; empty where it is not there.
        seconds: how long it took, earlier and later; never counts as a difference.
        note: what a reader should know: output that was cut in both runs.
    """

    before: int | None
    after: int | None
    title: str
    outcome: Outcome
    rules: tuple[str, ...] = ()
    changes: tuple[OutputChange, ...] = ()
    status: tuple[str, str] = ("", "")
    seconds: tuple[float | None, float | None] = field(default=(None, None))
    note: str = ""

    @property
    def cell(self) -> int:
        """Its index in the earlier notebook, in the later one where it is only there."""
        number = self.after if self.before is None else self.before
        assert number is not None  # noqa: S101 - it is in one of them
        return number

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "title": self.title,
            "outcome": str(self.outcome),
            "rules": list(self.rules),
            "changes": [change.to_json() for change in self.changes],
            "status": list(self.status),
            "seconds": list(self.seconds),
            "note": self.note,
        }


def executed_cells(data: bytes) -> dict[int, ExecutedCell]:
    """Return the code cells of an executed notebook's bytes by their index in the source notebook.

    Cells that the execution added are left out; they put nothing out.

    Raises:
        NotebookInvalid: it is no sound notebook.
    """
    notebook = Notebook.parse(data, path="the executed notebook")
    made: dict[int, ExecutedCell] = {}
    for place, cell in enumerate(notebook.raw["cells"]):
        if cell["cell_type"] != "code":
            continue
        ours = cell["metadata"].get("nbprod")
        told: Mapping[str, Any] = ours if isinstance(ours, dict) else {}
        number = told.get("cell", place)
        if not isinstance(number, int) or number in made:
            continue
        made[number] = ExecutedCell(
            cell=number,
            title=notebook.heading(place) or _first_line(cell["source"]),
            outputs=cell["outputs"],
            status=str(told.get("status", "")),
            seconds=told.get("seconds"),
            truncated=bool(told.get("truncated")),
        )
    return made


def compare_cells(
    before: tuple[Mapping[int, ExecutedCell], Own],
    after: tuple[Mapping[int, ExecutedCell], Own],
    pairs: Sequence[Pair],
    tolerance: Tolerance,
) -> tuple[CellComparison, ...]:
    """Return how the code cells of two runs compare.

    Args:
        before: the earlier cells, and what their run may tell of itself.
        after: the later ones.
        pairs: which cells of the source notebooks belong together, in the order in which they are to be told.
        tolerance: for scraps.
    """
    return tuple(_compared(before, after, pairs, tolerance))


def _compared(
    before: tuple[Mapping[int, ExecutedCell], Own],
    after: tuple[Mapping[int, ExecutedCell], Own],
    pairs: Sequence[Pair],
    tolerance: Tolerance,
) -> Iterator[CellComparison]:
    for pair in pairs:
        first = None if pair.before is None else before[0].get(pair.before)
        second = None if pair.after is None else after[0].get(pair.after)
        there = first or second
        if there is None or (None in (first, second) and not there.outputs and there.status in ("", CellStatus.OK)):
            continue  # of a cell of one source only that put nothing out, such as edited parameters, the source tells
        status = ("" if first is None else first.status, "" if second is None else second.status)
        seconds = (None if first is None else first.seconds, None if second is None else second.seconds)
        outcome = Outcome.ONLY_AFTER if first is None else Outcome.ONLY_BEFORE
        rules: tuple[str, ...] = ()
        changes: tuple[OutputChange, ...] = ()
        if first is not None and second is not None:
            outcome, rules, changes = compare_outputs((first.outputs, before[1]), (second.outputs, after[1]), tolerance)
            if status[0] != status[1] and "" not in status:
                change = OutputChange(what="ending", told=f"{status[0]} → {status[1]}")
                outcome, changes = Outcome.DIFFERENT, (change, *changes)
        cut = first is not None and second is not None and (first.truncated or second.truncated)
        yield CellComparison(
            before=None if first is None else first.cell,
            after=None if second is None else second.cell,
            title=there.title,
            outcome=outcome,
            rules=rules,
            changes=changes,
            status=status,
            seconds=seconds,
            note="output was cut: what was dropped could not be compared" if cut else "",
        )


def _first_line(source: str) -> str:
    """Return a cell's first line that is no comment and no magic, else its first line."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    telling = (line for line in lines if not line.startswith(("#", "%")))
    return next(telling, lines[0] if lines else "")[:80]
