"""Placing the injected cell, as papermill lays it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbprod.notebook.notebook import INJECTED, Notebook

__all__ = ["Prepared", "with_parameters"]

_ID = "injected-parameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A notebook ready to run.

    Args:
        node: an nbformat 4.5 dict of its own.
        positions: for each source cell, its place in `node["cells"]`; that of a replaced one is the injected cell's.
        injected: the injected cell's place in `node["cells"]`, or None.
        replaced: whether the injected cell stands in the place of a source cell.
    """

    node: dict[str, Any]
    positions: tuple[int, ...]
    injected: int | None
    replaced: bool = False

    def source_index(self, position: int) -> int | None:
        """Return the source cell's index of a place in the node; None for the injected cell."""
        if position == self.injected:
            return None
        return position - (self.injected is not None and not self.replaced and position > self.injected)


def with_parameters(
    notebook: Notebook, injected: str | None, *, hidden: bool = False, replace: bool = True
) -> Prepared:
    """Return a copy of the notebook with the injected cell after the parameters cell, or at the top without one.

    A cell that the author tagged `injected-parameters` gives way to it, as in papermill.

    Args:
        notebook: the source, which stays as it is.
        injected: the injected cell's source, or None where nothing is injected.
        hidden: hide the cell's source in Jupyter (papermill's report mode).
        replace: whether an author's cell gives way; not where no caller gave a value.
    """
    node = notebook.node()
    count = len(notebook.cells)
    if injected is None:
        return Prepared(node=node, positions=tuple(range(count)), injected=None)
    cell_id = _ID
    while any(cell.id == cell_id for cell in notebook.cells):
        cell_id += "-"
    metadata: dict[str, Any] = {"tags": [INJECTED]}
    if hidden:
        metadata["jupyter"] = {"source_hidden": True}
    place = 0 if notebook.parameters_cell is None else notebook.parameters_cell + 1
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id,
        "metadata": metadata,
        "outputs": [],
        "source": injected,
    }
    if replace and notebook.injected_cell is not None:
        place = notebook.injected_cell
        node["cells"][place] = cell
        return Prepared(node=node, positions=tuple(range(count)), injected=place, replaced=True)
    node["cells"].insert(place, cell)
    return Prepared(node=node, positions=tuple(i + (i >= place) for i in range(count)), injected=place)
