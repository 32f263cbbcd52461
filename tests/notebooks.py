"""Small notebooks and projects for tests that run real kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

from nbprod.project import Project
from tests.processes import MARK

Cell = str | tuple[str, list[str]]
PARAMETERS = ["parameters"]


def notebook_of(*cells: Cell, kernel: str = "python3") -> nbformat.NotebookNode:
    """Return a notebook of code cells; a cell is its source, or source and tags. `# …` sources become Markdown."""
    made = []
    for number, cell in enumerate(cells):
        source, tags = (cell, []) if isinstance(cell, str) else cell
        new = nbformat.v4.new_markdown_cell if source.startswith("# ") else nbformat.v4.new_code_cell
        made.append(new(source, id=f"cell-{number}", metadata={"tags": tags} if tags else {}))
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec})


def write(path: Path, *cells: Cell, kernel: str = "python3") -> Path:
    nbformat.write(notebook_of(*cells, kernel=kernel), path)
    return path


@contextmanager
def project_in(
    root: Path, mark: str, settings: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[Project]:
    """Make a project, all of whose kernels carry the mark; afterwards let go of its supervisor."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(f"[tool.nbprod]\n{settings}")
    # Where this is set, ipykernel leaves out what is written past Python.
    inherited = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    project = Project.find(root, {**inherited, MARK: mark, **(environ or {})})
    try:
        yield project
    finally:
        project.close()
        project.home.ledger.close()


def statuses(nb: Any) -> list[str]:
    """Return papermill's word for each code cell of the source (tagged ones of papermill's or ours left out)."""
    return [str(cell.metadata.papermill.status) for cell in code_of(nb)]


def code_of(nb: Any) -> list[Any]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def lies_of(nb: Any) -> list[str]:
    """Say in which ways an executed notebook lies to a reader who knows nothing but papermill's conventions."""
    found = []
    ran = [cell.execution_count is not None for cell in code_of(nb)]
    for number, cell in enumerate(code_of(nb)):
        about = cell.metadata.get("papermill", {})
        if about.get("status") == "completed" and not ran[number]:
            found.append(f"code cell {number} never ran and is called completed")
        if about.get("status") == "completed" and any(o.output_type == "error" for o in cell.outputs):
            found.append(f"code cell {number} raised and is called completed")
    if not all(ran):
        if nb.metadata.papermill.get("exception") is not True:
            found.append("cells did not run, and the notebook claims no exception")
        if not any("papermill-error-cell-tag" in cell.metadata.get("tags", []) for cell in nb.cells[:2]):
            found.append("cells did not run, and no banner stands on top")
    return found
