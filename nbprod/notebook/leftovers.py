"""What an earlier execution added to a notebook file, told from what its author wrote.

A tag alone proves nothing: people copy cells, and set tags by hand. A cell is only left out where the file shows that
papermill or nbprod wrote it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["INJECTED", "PARAMETERS", "RECORD", "source_cells"]

PARAMETERS = "parameters"
INJECTED = "injected-parameters"
RECORD = "nbprod-record"
_ERROR_MARKER = "papermill-error-cell-tag"
_SIGNATURE = "Written by nbprod"
_SPANS = ('id="papermill-error-cell"', 'href="#papermill-error-cell"', 'style="color:red')


def source_cells(node: dict[str, Any]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return a notebook's cells without those that an earlier execution added, and a sentence about what was left out.

    Where parameters were injected into a notebook without a parameters cell, the injected cell is all that declares
    them: it is kept, as the parameters cell.

    Args:
        node: a sound nbformat 4.5 dict.
    """
    metadata: dict[str, Any] = node["metadata"]
    cells: list[dict[str, Any]] = node["cells"]
    if not any(_is_code(cell, PARAMETERS) for cell in cells):
        alone = next((cell for cell in cells if _is_code(cell, INJECTED)), None)
        if alone is not None:
            alone["metadata"]["tags"] = [PARAMETERS if tag == INJECTED else tag for tag in alone["metadata"]["tags"]]
    kept: list[dict[str, Any]] = []
    injected = told = 0
    for cell in cells:
        if _is_code(cell, INJECTED) and _was_injected(cell, metadata):
            injected += 1
        elif _is_record(cell, metadata) or _is_error_marker(cell):
            told += 1
        else:
            kept.append(cell)
    return kept, tuple(_sentences(injected, told))


def _sentences(injected: int, told: int) -> list[str]:
    sentences = []
    if injected:
        what = "a cell" if injected == 1 else f"{injected} cells"
        sentences.append(
            f"{what} tagged {INJECTED} from an earlier execution of this file left out: the values there do not apply"
        )
    if told:
        what = "a Markdown cell" if told == 1 else f"{told} Markdown cells"
        sentences.append(f"{what} left out, in which an earlier execution of this file told how it ended")
    return sentences


def _tags(cell: dict[str, Any]) -> list[str]:
    tags: list[str] = cell["metadata"].get("tags", [])
    return tags


def _is_code(cell: dict[str, Any], tag: str) -> bool:
    return cell["cell_type"] == "code" and tag in _tags(cell)


def _was_injected(cell: dict[str, Any], metadata: dict[str, Any]) -> bool:
    """Say whether an execution added a cell tagged as injected; if not, its author set the tag, and it is source."""
    ours = cell["metadata"].get("nbprod")
    if isinstance(ours, dict) and "cell" in ours:
        return ours["cell"] is None  # a number is its place in the source that nbprod ran
    theirs = metadata.get("papermill")
    if isinstance(theirs, dict) and "parameters" in theirs:
        return bool(theirs["parameters"])  # papermill adds no cell where it was given nothing
    return isinstance(theirs, dict) or isinstance(metadata.get("nbprod"), dict)


def _is_record(cell: dict[str, Any], metadata: dict[str, Any]) -> bool:
    if cell["cell_type"] != "markdown" or RECORD not in _tags(cell):
        return False
    return isinstance(metadata.get("nbprod"), dict) or cell["id"] == RECORD or _SIGNATURE in cell["source"]


def _is_error_marker(cell: dict[str, Any]) -> bool:
    if cell["cell_type"] != "markdown" or _ERROR_MARKER not in _tags(cell):
        return False
    source = cell["source"].lstrip()
    return source.startswith("<span ") and any(span in source for span in _SPANS)
