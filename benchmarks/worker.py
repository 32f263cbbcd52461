"""One tool in a warm process: executes the notebook once for each line on stdin and answers with the seconds it took.

    python -m benchmarks.worker papermill|nbprod|ploomber|exec NOTEBOOK FOLDER

FOLDER receives the executed notebooks and, from nbprod, everything of its record. Answers go to the descriptor that
was stdout at the start; what the tools print goes to stderr.
"""

from __future__ import annotations

import contextlib
import io
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


def ploomber(notebook: Path) -> Execute:
    """Return what executes with ploomber-engine: in this very process, every run in the same interpreter."""
    from ploomber_engine import execute_notebook  # noqa: PLC0415

    def execute(alpha: float, output: Path) -> None:
        execute_notebook(str(notebook), str(output), parameters={"alpha": alpha}, progress_bar=False, log_output=False)

    return execute


def plain(notebook: Path) -> Execute:
    """Return what runs the cells by `exec` in this process: the floor of a warm interpreter."""
    code = [compile(cell["source"], cell["id"], "exec") for cell in json.loads(notebook.read_bytes())["cells"]]

    def execute(alpha: float, _: Path) -> None:
        names: dict[str, object] = {"__name__": "__main__"}
        with contextlib.redirect_stdout(io.StringIO()):
            for place, cell in enumerate(code):
                exec(cell, names)
                if place == 0:
                    names["alpha"] = alpha

    return execute


def main(tool: str, notebook: Path, folder: Path) -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    make: dict[str, Callable[[], Execute]] = {
        "papermill": lambda: papermill(notebook),
        "nbprod": lambda: nbprod(notebook, folder),
        "ploomber": lambda: ploomber(notebook),
        "exec": lambda: plain(notebook),
    }
    execute = make[tool]()
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
