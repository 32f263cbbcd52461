"""Map a trivial notebook many times under one of Prefect's task runners: `python -m benchmarks.mapped COUNT RUNNER`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from nbprod.flow.server import LocalServer

USAGE = "python -m benchmarks.mapped COUNT threads|dask"


def main() -> int:
    if len(sys.argv) != 3 or not sys.argv[1].isdigit() or sys.argv[2] not in ("threads", "dask"):  # noqa: PLR2004 - two words
        print(USAGE, file=sys.stderr)
        return 2
    count, kind = int(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder, LocalServer(Path(folder) / "prefect", os.environ) as server:
        root = Path(folder) / "project"
        root.mkdir()
        (root / "pyproject.toml").write_text("[tool.nbprod]\n", encoding="utf-8")
        declared = new_code_cell("alpha: int = 0", metadata={"tags": ["parameters"]})
        nbformat.write(new_notebook(cells=[declared, new_code_cell("alpha + 1")]), root / "trivial.ipynb")
        os.environ.update(server.client_environ, PREFECT_LOGGING_LEVEL="ERROR")
        server.wait()
        begun = time.monotonic()
        statuses = mapped(root, count, kind)
        seconds = time.monotonic() - begun
    print(f"{count} under {kind}: {seconds:.1f} s, {count / seconds:.2f} per second, {dict(statuses)}")
    return 0 if statuses == {"succeeded": count} else 1


def mapped(root: Path, count: int, kind: str) -> Counter[str]:
    from prefect import flow  # noqa: PLC0415 - it reads the environment when it is imported

    from nbprod.flow import notebook  # noqa: PLC0415
    from nbprod.flow.flush import flush  # noqa: PLC0415
    from nbprod.ledger import RunQuery  # noqa: PLC0415
    from nbprod.project import Project  # noqa: PLC0415

    step = notebook("trivial.ipynb", root=root)

    @flow(task_runner=runner(kind))
    def all_of_them() -> None:
        step.map(alpha=list(range(count))).result()

    all_of_them()
    flush()
    return Counter(str(run.status) for run in Project.find(root).runs(RunQuery()))


def runner(kind: str) -> Any:
    if kind == "threads":
        from prefect.task_runners import ThreadPoolTaskRunner  # noqa: PLC0415

        return ThreadPoolTaskRunner(max_workers=4)
    from prefect_dask import DaskTaskRunner  # noqa: PLC0415

    return DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None})


if __name__ == "__main__":
    sys.exit(main())
