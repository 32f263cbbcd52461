"""Scraps of two runs, by name: equal, within the tolerance, or how far apart."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from nbprod.diff.outcome import Outcome
from nbprod.diff.side import UNREADABLE, Side
from nbprod.diff.tables import compare_parquet
from nbprod.diff.tolerance import Tolerance
from nbprod.diff.trees import changes, number_of, shown
from nbprod.digest import Json
from nbprod.scraps import Scrap, ScrapEntry

__all__ = ["TOLERANCE", "ScrapComparison", "compare_data", "compare_scraps"]

TOLERANCE = "tolerance of scraps"
"""What is told where a scrap is equal within its tolerance only."""
_SHOWN = 20
_ARRAY = "ndarray"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapComparison:
    """A scrap of two runs.

    Args:
        name: as it was glued.
        outcome: `equal after normalising` where it is within the tolerance.
        before: its value in one short line; empty where there is none.
        after: the same of the later run.
        change: for numbers, how much greater the later one is; None for others, or if one is not finite.
        ratio: `change` as a share of the earlier number; None also where that is 0.
        margin: the tolerance that held, in words; empty where none was needed.
        told: for what has parts, where they differ; or why it cannot be told.
    """

    name: str
    outcome: Outcome
    before: str = ""
    after: str = ""
    change: float | None = None
    ratio: float | None = None
    margin: str = ""
    told: tuple[str, ...] = ()
    cells: tuple[int | None, int | None] = field(default=(None, None))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "outcome": str(self.outcome),
            "before": self.before,
            "after": self.after,
            "change": self.change,
            "ratio": self.ratio,
            "margin": self.margin,
            "told": list(self.told),
            "cells": list(self.cells),
        }


def compare_scraps(before: Side, after: Side, tolerance: Tolerance) -> tuple[ScrapComparison, ...]:
    """Return how the scraps of two runs compare, in the order in which they were glued."""
    entries = (
        {entry.name: entry for entry in before.record.scraps},
        {entry.name: entry for entry in after.record.scraps},
    )
    names = dict.fromkeys((*entries[0], *entries[1]))
    return tuple(
        _compare(name, (entries[0].get(name), before), (entries[1].get(name), after), tolerance) for name in names
    )


def _compare(
    name: str,
    before: tuple[ScrapEntry | None, Side],
    after: tuple[ScrapEntry | None, Side],
    tolerance: Tolerance,
) -> ScrapComparison:
    (first, one), (second, other) = before, after
    cells = (None if first is None else first.cell, None if second is None else second.cell)
    if first is not None and second is not None and first.ref is not None and first.ref == second.ref:
        return ScrapComparison(name=name, outcome=Outcome.EQUAL, before=first.type, after=second.type, cells=cells)
    try:
        scraps = None if first is None else first.scrap(one.read), None if second is None else second.scrap(other.read)
    except UNREADABLE as error:
        return ScrapComparison(name=name, outcome=Outcome.UNKNOWN, told=(str(error),), cells=cells)
    words = ["" if scrap is None else _shown(scrap) for scrap in scraps]
    if scraps[0] is None or scraps[1] is None:
        outcome = Outcome.ONLY_AFTER if scraps[0] is None else Outcome.ONLY_BEFORE
        return ScrapComparison(name=name, outcome=outcome, before=words[0], after=words[1], cells=cells)
    outcome, told = _compare_values(scraps[0], scraps[1], tolerance)
    margin = str(tolerance.of(name)) if outcome is Outcome.NORMALISED else ""
    change, ratio = _change(scraps[0].data, scraps[1].data)
    return ScrapComparison(
        name=name,
        outcome=outcome,
        before=words[0],
        after=words[1],
        change=change,
        ratio=ratio,
        margin=margin,
        told=told,
        cells=cells,
    )


def _compare_values(before: Scrap, after: Scrap, tolerance: Tolerance) -> tuple[Outcome, tuple[str, ...]]:
    if before.payload_bytes() == after.payload_bytes() and before.encoder == after.encoder:
        return Outcome.EQUAL, ()
    if before.type != after.type:
        return Outcome.DIFFERENT, (f"type: {before.type} → {after.type}",)
    if before.encoder == "pandas" and after.encoder == "pandas":
        return _compare_frames(before.data, after.data)
    found = compare_data(before.name, before.data, after.data, tolerance)
    if found:
        return Outcome.DIFFERENT, found if len(found) > 1 or not found[0].startswith("value:") else ()
    if before.data == after.data:  # what was shown for it stands among the cell's outputs
        return Outcome.EQUAL, ()
    return Outcome.NORMALISED, ()


def compare_data(name: str, before: Json, after: Json, tolerance: Tolerance) -> tuple[str, ...]:
    """Return where a scrap's values are apart by more than its tolerance, in words; nothing if nowhere."""
    found: Iterator[Any] = changes(before, after, floats=tolerance.of(name), ints=tolerance.of_ints(name))
    told = [str(leaf) for leaf in islice(found, _SHOWN)]
    rest = sum(1 for _ in found)
    return (*told, f"… and {rest} more") if rest else tuple(told)


def _compare_frames(before: Json, after: Json) -> tuple[Outcome, tuple[str, ...]]:
    try:
        files = [io.BytesIO(base64.b64decode(data, validate=True)) for data in (before, after)]
    except (binascii.Error, ValueError, TypeError) as error:
        return Outcome.UNKNOWN, (f"a frame cannot be read: {error}",)
    found = compare_parquet(files[0], files[1])
    return found.outcome, found.told


def _change(before: Json, after: Json) -> tuple[float | None, float | None]:
    numbers = number_of(before), number_of(after)
    if numbers[0] is None or numbers[1] is None:
        return None, None
    try:
        first, second = float(numbers[0]), float(numbers[1])
    except OverflowError:
        return None, None
    if not (math.isfinite(first) and math.isfinite(second)):
        return None, None
    change = second - first
    ratio = change / abs(first) if first else None
    return change, ratio if ratio is not None and math.isfinite(ratio) else None


def _shown(scrap: Scrap) -> str:
    if scrap.type in ("dataframe", "display"):
        return scrap.type
    if scrap.type == _ARRAY and isinstance(scrap.data, dict) and isinstance(scrap.data.get("value"), dict):
        value = scrap.data["value"]
        shape: Sequence[Any] = value.get("shape") or ()
        return f"array of {value.get('dtype')}, {' x '.join(map(str, shape)) or 'one number'}"
    return shown(scrap.data)
