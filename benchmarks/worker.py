"""One tool in a warm process: executes the notebook once for each line on stdin and answers with the seconds it took.

    python -m benchmarks.worker papermill|nbprod NOTEBOOK FOLDER

FOLDER receives the executed notebooks and, from nbprod, everything of its record. Answers go to the descriptor that
was stdout at the start; what the tools print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

Execute = Callable[[float, Path], None]
"""Executes the notebook with a value for `alpha` and leaves the executed one at the path."""


def papermill(notebook: Path) -> Execute:
    """Return what executes with papermill, its progress bar off, its other settings as they come."""
    from papermill import execute_notebook  # noqa: PLC0415 - each worker pays for its own tool only

    def execute(alpha: float, output: Path) -> None:
        execute_notebook(str(notebook), str(output), {"alpha": alpha}, progress_bar=False)

    return execute


def nbprod(notebook: Path, folder: Path) -> Execute:
    """Return what executes with nbprod: the full record in store and ledger, and the executed notebook as well."""
    import nbprod as tool  # noqa: PLC0415

    project = tool.Project.find(folder)

    def execute(alpha: float, output: Path) -> None:
        tool.run(notebook, {"alpha": alpha}, output=output, project=project).raise_for_status()

    return execute


def main(tool: str, notebook: Path, folder: Path) -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    execute = papermill(notebook) if tool == "papermill" else nbprod(notebook, folder)
    for number, _ in enumerate(sys.stdin):
        output = folder / f"executed-{number}.ipynb"
        fault = None
        begin = time.perf_counter()
        try:
            execute(1.0 + number, output)  # another value each time: nothing may be taken from a cache
        except Exception as error:  # noqa: BLE001 - the other side judges it
            fault = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - begin
        answers.write(json.dumps({"seconds": seconds, "fault": fault}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
