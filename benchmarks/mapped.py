"""Map a trivial notebook many times under Prefect's task runners: `python -m benchmarks.mapped COUNT [threads] [dask]`.

Under each of them all runs must succeed, and ask for the same. Each runner has a project of its own, so that nothing is
answered by an earlier run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from benchmarks.measure import Peak, files_in
from nbprod.flow.server import LocalServer

USAGE = "python -m benchmarks.mapped COUNT [threads] [dask]"
KINDS = ("threads", "dask")
_ALIKE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "6640"}
"""What Dask gives its workers, and what is part of a request: without it the two would ask for different things."""


def main() -> int:
    count, kinds = sys.argv[1:2], sys.argv[2:] or KINDS
    if not count or not count[0].isdigit() or not set(kinds) <= set(KINDS):
        print(USAGE, file=sys.stderr)
        return 2
    asked = {}
    with tempfile.TemporaryDirectory() as folder, LocalServer(Path(folder) / "prefect", os.environ) as server:
        os.environ.update(server.client_environ, PREFECT_LOGGING_LEVEL="ERROR", **_ALIKE)
        server.wait()
        for kind in kinds:
            asked[kind] = measured(_project_in(Path(folder) / kind), int(count[0]), kind)
    good = all(len(requests) == int(count[0]) for requests in asked.values())
    alike = len({tuple(sorted(requests.items())) for requests in asked.values()}) == 1
    print(f"requests: {'the same under each' if alike else 'NOT THE SAME'}")
    return 0 if good and alike else 1


def _project_in(root: Path) -> Path:
    root.mkdir()
    (root / "pyproject.toml").write_text("[tool.nbprod]\n", encoding="utf-8")
    declared = new_code_cell("alpha: int = 0", metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[declared, new_code_cell("alpha + 1")]), root / "trivial.ipynb")
    return root


def measured(root: Path, count: int, kind: str) -> Mapping[Any, str]:
    """Map, and print what it took; return the digest of each succeeded run's request by its parameter."""
    from nbprod.ledger import RunQuery  # noqa: PLC0415 - as below
    from nbprod.project import Project  # noqa: PLC0415
    from nbprod.record.status import Status  # noqa: PLC0415

    before = files_in(root)[0]
    with Peak(os.getpid(), interval=0.5) as peak:  # all processes: the flow, Dask's workers, kernels, Prefect's server
        begun = time.monotonic()
        mapped(root, count, kind)
        seconds = time.monotonic() - begun
    runs = list(Project.find(root).runs(RunQuery()))
    written, size = files_in(root)
    print(
        f"{count} under {kind}: {seconds:.1f} s, {count / seconds:.2f} runs per second, "
        f"peak memory {peak.bytes / 2**20:.0f} MiB, {written - before} files ({size / 1e6:.1f} MB), "
        f"{dict(Counter(str(run.status) for run in runs))}",
        flush=True,
    )
    good = [run for run in runs if run.status is Status.SUCCEEDED]
    return {run.parameters["alpha"]: str(run.record.request.digest) for run in good}


def mapped(root: Path, count: int, kind: str) -> None:
    from prefect import flow  # noqa: PLC0415 - it reads the environment when it is imported

    from nbprod.flow import notebook  # noqa: PLC0415
    from nbprod.flow.flush import flush  # noqa: PLC0415

    step = notebook("trivial.ipynb", root=root)

    @flow(task_runner=runner(kind))
    def all_of_them() -> None:
        step.map(alpha=list(range(count))).result()

    all_of_them()
    flush()


def runner(kind: str) -> Any:
    if kind == "threads":
        from prefect.task_runners import ThreadPoolTaskRunner  # noqa: PLC0415

        return ThreadPoolTaskRunner(max_workers=4)
    from prefect_dask import DaskTaskRunner  # noqa: PLC0415

    return DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None})


if __name__ == "__main__":
    sys.exit(main())
