"""One flow file on a laptop and in production, and only settings differ: the records are the same.

SQLite, a folder and threads; then PostgreSQL, S3 and Dask, whose workers share ledger and store alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nbprod.flow.caller import caller_of
from nbprod.ledger import RunQuery
from nbprod.project import Project, Run
from nbprod.record.status import Status
from tests.notebooks import PARAMETERS, write
from tests.object_storage import ObjectStorage, new_prefix
from tests.postgres import PostgresServer

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("prefect_server"),
]

COUNT = 4
FLOW = """
    import json, os
    from prefect import flow, tags, unmapped
    from prefect.futures import wait
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
    from nbprod.flow import notebook
    from nbprod.flow.flush import flush

    def runner():
        if os.environ["RUNNER"] == "threads":
            return ThreadPoolTaskRunner(max_workers=2)
        if os.environ["RUNNER"] == "processes":
            return ProcessPoolTaskRunner(max_workers=2)
        from distributed import LocalCluster
        from prefect_dask import DaskTaskRunner
        cluster = {"n_workers": 2, "threads_per_worker": 2, "processes": True, "dashboard_address": None}
        return DaskTaskRunner(cluster_class=LocalCluster, cluster_kwargs=cluster)

    def main(count):
        # Not at the module's top: a worker imports that before it is given its own folder.
        write = notebook("notebooks/write.ipynb", persist_result=True)
        read = notebook("notebooks/read.ipynb")

        @flow(task_runner=runner())
        def mapped():
            written = write.map(alpha=list(range(count)), scale=unmapped(2))
            after = read.with_options(tags=["after"]).submit(rows=written[0], wait_for=[written[1]])
            wait([*written, after])
            return [*(run.result() for run in written), after.result()]
        with tags("nightly"):
            return mapped()

    if __name__ == "__main__":
        print(json.dumps([*(str(run.id) for run in main(int(os.environ["COUNT"]))), os.getpid()]))
        flush(5)
"""
WRITE = """
import scrapbook as sb
from pathlib import Path
sb.glue("product", alpha * scale)
sb.glue("long", "x" * 300_000)
Path(output_dir, "rows.txt").write_text(str(alpha * scale))
"""
READ = """
import scrapbook as sb
from pathlib import Path
sb.glue("read", Path(rows).read_text())
"""
PRELOAD = """
    import os, tempfile

    def dask_setup(worker):
        os.environ["NBPROD_HOME"] = tempfile.mkdtemp(dir=os.environ["FOLDERS"])
        os.chdir(tempfile.mkdtemp(dir=os.environ["FOLDERS"]))
"""
# Dask sets these for its workers, and they are part of what a run is asked to compute with.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "6640"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two notebooks and a flow."""
    root = tmp_path_factory.mktemp("project")
    (root / "pyproject.toml").write_text("[tool.nbprod]\n", encoding="utf-8")
    (root / "notebooks").mkdir()
    parameters = "from pathlib import Path\nalpha: int = 0\nscale: int = 1\noutput_dir: Path = Path('out')"
    write(root / "notebooks" / "write.ipynb", (parameters, PARAMETERS), WRITE)
    reads = "from pathlib import Path\nrows: Path = Path('none')"
    write(root / "notebooks" / "read.ipynb", (reads, PARAMETERS), READ)
    (root / "mapped.py").write_text(textwrap.dedent(FLOW), encoding="utf-8")
    return root


def runs_of(root: Path, settings: Mapping[str, str], count: int) -> list[Run]:
    """Run the flow with the settings, in a process of its own; return its runs in the order of the flow."""
    environ = {**os.environ, **THREADS, **settings, "COUNT": str(count)}
    command = [sys.executable, "mapped.py"]
    done = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    *told, pid = json.loads(done.stdout.splitlines()[-1])
    project = Project.find(root, environ)
    found = {str(run.id): run for run in project.runs(RunQuery(tags=("nightly",)))}
    assert set(found) == set(told)
    assert {run.status for run in found.values()} == {Status.SUCCEEDED}
    # Whether the flow lives is asked of its own process, not of the worker that ran the notebook.
    ledger = project.home.ledger
    assert {caller_of(ledger, run.id).process.pid for run in found.values()} == {pid}
    runners = {ledger.run(run.id).runner_pid for run in found.values()}
    assert (pid in runners) is (settings["RUNNER"] == "threads")
    return [found[run_id] for run_id in told]


@pytest.fixture(scope="module")
def on_a_laptop(root: Path, prefect_server: object, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    home = tmp_path_factory.mktemp("laptop")
    settings = {"RUNNER": "threads", "NBPROD_LEDGER": f"sqlite:///{home}/ledger.db", "NBPROD_STORE": f"{home}/store"}
    return runs_of(root, {**settings, "NBPROD_HOME": str(home)}, COUNT)


def edges(run: Run, runs: list[Run]) -> list[tuple[str, str | None, int | None]]:
    """Return the run's inputs: kind, digest, and which of the flow's runs each comes from."""
    numbers = {run.id: number for number, run in enumerate(runs)}
    inputs = run.record.request.inputs
    return [(each.kind, str(each.digest), None if each.run is None else numbers[each.run]) for each in inputs]


def told(runs: list[Run]) -> list[dict[str, Any]]:
    """Return what the records say, but for times, hosts, ids, and digests of what holds those."""
    return [
        {
            "request": str(run.record.request.digest),
            "step": run.step,
            "notebook": run.record.request.notebook,
            "source": str(run.record.source_file.digest),
            "given": run.record.request.given,
            "environment": str(run.record.request.environment),
            "edges": edges(run, runs),
            "scraps": [entry.to_json() for entry in run.record.scraps],
            "artifacts": [(entry.name, str(entry.digest), entry.size) for entry in run.record.artifacts],
            "cells": [(cell.cell, str(cell.status)) for cell in run.record.verdict.cells],
            "verdict": (str(run.status), run.reason),
            "tags": run.record.labels.tags,
            "notes": run.record.notes,
        }
        for run in runs
    ]


def differing(runs: list[Run], others: list[Run]) -> list[tuple[int, str, Any, Any]]:
    """Return where the records differ: number of the run, what of it, and what the two say."""
    pairs = enumerate(zip(told(runs), told(others), strict=True))
    return [(n, what, one[what], two[what]) for n, (one, two) in pairs for what in one if one[what] != two[what]]


def test_on_postgresql_s3_and_dask_the_records_are_the_same(
    root: Path, on_a_laptop: list[Run], postgres: PostgresServer, s3_environ: ObjectStorage, tmp_path: Path
) -> None:
    (folders := tmp_path / "folders").mkdir()
    (preload := tmp_path / "preload.py").write_text(textwrap.dedent(PRELOAD), encoding="utf-8")
    settings = {
        "RUNNER": "dask",
        "NBPROD_LEDGER": postgres.url(postgres.database()),
        "NBPROD_STORE": new_prefix(),
        # Each worker is given a folder of its own, empty at first, as if it were another machine.
        "DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([str(preload)]),
        "FOLDERS": str(folders),
        "NBPROD_HOME": str(tmp_path / "home"),
    }
    runs = runs_of(root, settings, COUNT)
    assert differing(runs, on_a_laptop) == []
    assert [run.scraps["product"] for run in runs[:COUNT]] == [0, 2, 4, 6]
    assert [run.artifacts["rows.txt"].path().read_text("utf-8") for run in runs[:COUNT]] == ["0", "2", "4", "6"]
    assert (runs[-1].scraps["read"], edges(runs[-1], runs)[0][2]) == ("0", 0)
    assert runs[0].scraps["long"] == "x" * 300_000
    assert not (root / ".nbprod").exists()
    assert not list((tmp_path / "home").glob("runs/*"))  # the workers' folders held the runs, not the flow's
    assert len(list(folders.glob("*/runs/*"))) == COUNT + 1


@pytest.mark.torture
def test_in_processes_the_records_are_the_same(root: Path, on_a_laptop: list[Run], tmp_path: Path) -> None:
    runs = runs_of(root, {"RUNNER": "processes", "NBPROD_HOME": str(tmp_path)}, COUNT)
    assert differing(runs, on_a_laptop) == []


def test_another_setting_of_threads_is_another_request(on_a_laptop: list[Run], root: Path, tmp_path: Path) -> None:
    """The control: the comparison sees what differs."""
    home = {"NBPROD_HOME": str(tmp_path)}
    project = Project.find(root, {**os.environ, **THREADS, **home, "OMP_NUM_THREADS": "2"})
    from nbprod.project import RunOptions

    job = project.job(project.step("notebooks/write.ipynb"), {"alpha": 0, "scale": 2}, RunOptions())
    other = project.foresee(job)
    assert other.source == on_a_laptop[0].record.request.source
    assert other.digest != on_a_laptop[0].record.request.digest
