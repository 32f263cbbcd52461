"""Documents among artifacts: JSON, texts, notebooks and pictures, by what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, BinaryIO

from nbprod.diff.cells import compare_cells, executed_cells
from nbprod.diff.content import Content, TooMuchError
from nbprod.diff.lines import changed_lines
from nbprod.diff.outcome import Outcome
from nbprod.diff.pairs import pairs_of
from nbprod.diff.pictures import picture_of, pixels_apart
from nbprod.diff.pieces import Piece
from nbprod.diff.rules import rules_needed
from nbprod.diff.side import Own
from nbprod.diff.source import compare_sources
from nbprod.diff.tolerance import Tolerance
from nbprod.diff.trees import changes
from nbprod.errors import NotebookInvalid
from nbprod.notebook import Notebook

__all__ = ["compare_json", "compare_notebooks", "compare_pictures", "compare_texts"]

JSON, TEXT, NOTEBOOK, PICTURE = "values of JSON", "text", "cells of notebook", "pixels of picture"
_MOST_BYTES = 64 << 20
_SHOWN = 30


def compare_json(before: BinaryIO, after: BinaryIO, owns: tuple[Own, Own]) -> Content:  # noqa: ARG001 - called alike
    """Compare two JSON files by their values; the order of keys and the layout are left out."""
    try:
        values = [json.loads(_read(each), object_pairs_hook=_object) for each in (before, after)]
        if json.dumps(values[0], sort_keys=True) == json.dumps(values[1], sort_keys=True):
            return Content(outcome=Outcome.NORMALISED, by=JSON)
        found = changes(*values)
        told = [str(leaf) for leaf in islice(found, _SHOWN)]
        rest = sum(1 for _ in found)
    except (ValueError, RecursionError, TooMuchError) as error:
        return Content(outcome=Outcome.DIFFERENT, by=JSON, told=(f"they are not looked into: {error}",))
    more = (f"… and {rest} more",) if rest else ()
    return Content(outcome=Outcome.DIFFERENT, by=JSON, told=(*told, *more))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return made


def compare_texts(before: BinaryIO, after: BinaryIO, owns: tuple[Own, Own]) -> Content:
    """Compare two texts by the rules for what cells put out: addresses, own places, times during the run."""
    try:
        texts = [_read(each).decode() for each in (before, after)]
    except (UnicodeDecodeError, TooMuchError) as error:
        return Content(outcome=Outcome.DIFFERENT, by=TEXT, told=(f"they are not looked into: {error}",))
    pieces = [(Piece(output=0, kind="display_data", mime="text/html", body=text),) for text in texts]
    rules = rules_needed((pieces[0], owns[0]), (pieces[1], owns[1]))
    if rules is not None:
        return Content(outcome=Outcome.NORMALISED, by=f"{TEXT} without {', '.join(rules)}")
    return Content(outcome=Outcome.DIFFERENT, by=TEXT, told=changed_lines(*texts))


def compare_notebooks(before: BinaryIO, after: BinaryIO, owns: tuple[Own, Own]) -> Content:
    """Compare two notebook files by their cells' sources and, after the rules, outputs."""
    try:
        files = [_read(each) for each in (before, after)]
        notebooks = [Notebook.parse(data) for data in files]
        executed = [executed_cells(data) for data in files]
    except (NotebookInvalid, RecursionError, TooMuchError) as error:
        return Content(outcome=Outcome.DIFFERENT, by=NOTEBOOK, told=(f"they are not looked into: {error}",))
    pairs = pairs_of(notebooks[0], notebooks[1])
    sources = compare_sources(notebooks[0], notebooks[1], pairs)
    told = [f"source: a {each.kind} cell was {each.change}" for each in sources]
    cells = compare_cells((executed[0], owns[0]), (executed[1], owns[1]), pairs, Tolerance())
    told += [f"cell {cell.cell}: its output is {cell.outcome}" for cell in cells if not cell.outcome.same]
    return Content(outcome=Outcome.DIFFERENT if told else Outcome.NORMALISED, by=NOTEBOOK, told=tuple(told[:_SHOWN]))


def compare_pictures(before: BinaryIO, after: BinaryIO, owns: tuple[Own, Own]) -> Content:  # noqa: ARG001 - called alike
    """Compare two PNG files by what they show."""
    try:
        files = _read(before), _read(after)
    except TooMuchError as error:
        return Content(outcome=Outcome.DIFFERENT, by=PICTURE, told=(f"they are not looked into: {error}",))
    shown = picture_of(files[0]), picture_of(files[1])
    if shown[0] is not None and shown[0] == shown[1]:
        return Content(outcome=Outcome.NORMALISED, by=PICTURE)
    if shown[0] is None or shown[1] is None:
        return Content(outcome=Outcome.DIFFERENT, by=PICTURE, told=("not looked into: broken, animated or too large",))
    share = pixels_apart(*files)
    sizes = [f"{each.width} x {each.height}" for each in (shown[0], shown[1])]
    size = () if sizes[0] == sizes[1] else (f"size: {sizes[0]} → {sizes[1]} pixels",)
    return Content(
        outcome=Outcome.DIFFERENT,
        by=PICTURE,
        told=size if share is None else (f"{max(share, 0.0001):.2%} of the pixels differ",),
    )


def _read(stream: BinaryIO) -> bytes:
    data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise TooMuchError(f"more than {_MOST_BYTES:,} bytes")
    return data


DOCUMENTS: Mapping[str, Callable[[BinaryIO, BinaryIO, tuple[Own, Own]], Content]] = {
    ".json": compare_json,
    ".geojson": compare_json,
    ".ipynb": compare_notebooks,
    ".png": compare_pictures,
    **dict.fromkeys((".txt", ".md", ".html", ".htm", ".svg", ".log", ".yaml", ".yml", ".toml", ".xml"), compare_texts),
}
"""Who compares which document, by the end of its name."""
