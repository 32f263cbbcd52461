"""What a run is to execute: the prepared notebook and its code cells, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Plan", "PlannedCell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """One code cell of the prepared notebook.

    Args:
        position: index in the prepared notebook.
        cell: index in the source notebook; None for the injected parameters.
        source: the code.
        label: heading or description for progress.
        may_raise: tagged `raises-exception`.
        skip: tagged `skip-execution`, or without code.
    """

    position: int
    cell: int | None
    source: str
    label: str = ""
    may_raise: bool = False
    skip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A prepared notebook (nbformat 4 as a plain dict, parameters injected) and its code cells.

    Each cell of the prepared notebook that comes from the source has `metadata.nbprod.cell`, its index there.
    """

    node: Mapping[str, Any]
    cells: tuple[PlannedCell, ...]

    @classmethod
    def of(cls, node: Mapping[str, Any], labels: Mapping[int, str]) -> Plan:
        """Read the plan off a prepared notebook.

        Args:
            node: the notebook; cells carry `metadata.nbprod.cell`.
            labels: by source index.
        """
        cells = []
        for position, cell in enumerate(node["cells"]):
            if cell["cell_type"] != "code":
                continue
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            tags = cell["metadata"].get("tags", ())
            index = cell["metadata"].get("nbprod", {}).get("cell")
            cells.append(
                PlannedCell(
                    position=position,
                    cell=index,
                    source=source,
                    label="parameters" if index is None else labels.get(index, ""),
                    may_raise="raises-exception" in tags,
                    skip="skip-execution" in tags or not source.strip(),
                )
            )
        return cls(node=node, cells=tuple(cells))

    @property
    def total(self) -> int:
        """How many code cells are to run."""
        return sum(not cell.skip for cell in self.cells)
