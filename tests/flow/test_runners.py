"""One flow under threads, processes and Dask: the same records; Dask's workers share ledger and store alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nbprod.flow.caller import caller_of
from nbprod.ledger import RunQuery
from nbprod.project import Project
from nbprod.record.status import Status

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.usefixtures("prefect_server"),
]

COUNT = 12
FLOW = """
    import json, os, sys, tempfile, warnings
    from prefect import flow, tags, unmapped
    from prefect.futures import wait
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
    from nbprod.flow import notebook
    from nbprod.flow.flush import flush

    def runner(kind):
        if kind == "threads":
            return ThreadPoolTaskRunner(max_workers=2)
        if kind == "processes":
            return ProcessPoolTaskRunner(max_workers=2)
        from distributed import LocalCluster
        from prefect_dask import DaskTaskRunner
        cluster = {"n_workers": 2, "threads_per_worker": 2, "processes": True, "dashboard_address": None}
        return DaskTaskRunner(cluster_class=LocalCluster, cluster_kwargs=cluster)

    def main(kind, count):
        # Not at the module's top: a worker imports that before it is given its own folder.
        write = notebook("notebooks/write.ipynb", persist_result=True)
        read = notebook("notebooks/read.ipynb")

        @flow(task_runner=runner(kind))
        def mapped():
            written = write.map(alpha=list(range(count)), scale=unmapped(2))
            after = read.with_options(tags=["after"]).submit(rows=written[0], wait_for=[written[1]])
            wait([*written, after])
            return [run.result() for run in written], after.result()
        with tags(kind):
            return mapped()

    if __name__ == "__main__":
        runs, after = main(sys.argv[1], int(sys.argv[2]))
        told = [[run.parameters["alpha"], str(run.id)] for run in runs]
        print(json.dumps([*told, after.scraps["read"], os.getpid()]))
        flush(5)
"""
WRITE = """
    from pathlib import Path
    Path(output_dir, "rows.txt").write_text(str(alpha * scale))
"""
READ = """
    from pathlib import Path
    import scrapbook as sb
    sb.glue("read", Path(rows).read_text())
"""


PRELOAD = """
    import os, tempfile

    def dask_setup(worker):
        os.environ["NBPROD_HOME"] = tempfile.mkdtemp(dir=os.environ["FOLDERS"])
        os.chdir(tempfile.mkdtemp(dir=os.environ["FOLDERS"]))
"""


@pytest.mark.parametrize(
    ("kind", "count"), [("threads", COUNT), ("dask", COUNT), pytest.param("processes", 3, marks=pytest.mark.torture)]
)
def test_the_records_are_the_same(project: Path, write, tmp_path: Path, kind, count):
    home = tmp_path / "elsewhere"
    home.mkdir()
    parameters = "from pathlib import Path\nalpha: int = 0\nscale: int = 1\noutput_dir: Path = Path('out')"
    write("write", parameters, [textwrap.dedent(WRITE)])
    write("read", "from pathlib import Path\nrows: Path = Path('none')", [textwrap.dedent(READ)])
    script = project / "mapped.py"
    script.write_text(textwrap.dedent(FLOW), encoding="utf-8")
    environ = {**os.environ, "NBPROD_LEDGER": f"sqlite:///{home}/ledger.db", "NBPROD_STORE": str(home / "store")}
    if kind == "dask":  # each worker is given a working folder of its own, and shares the ledger and the store only
        (folders := tmp_path / "folders").mkdir()
        (preload := tmp_path / "preload.py").write_text(textwrap.dedent(PRELOAD), encoding="utf-8")
        environ.update(FOLDERS=str(folders), DASK_DISTRIBUTED__WORKER__PRELOAD=json.dumps([str(preload)]))
    command = [sys.executable, str(script), kind, str(count)]
    done = subprocess.run(command, env=environ, cwd=project, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    *told, read, pid = json.loads(done.stdout.splitlines()[-1])
    assert [alpha for alpha, _ in told] == list(range(count))
    assert read == "0"
    runs = list(Project.find(project, environ).runs(RunQuery(steps=("write",), tags=(kind,))))
    assert {str(run.id) for run in runs} == {run_id for _, run_id in told}
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert (project / ".nbprod" / "runs").exists() is (kind != "dask")
    # Whether the flow lives is asked of its own process, not of the worker that ran the notebook.
    ledger = Project.find(project, environ).home.ledger
    assert {caller_of(ledger, run.id).process.pid for run in runs} == {pid}
    assert (pid in {ledger.run(run.id).runner_pid for run in runs}) is (kind == "threads")
    # Equal work, equal bytes and an equal request, whoever did it.
    assert {run.parameters["alpha"]: run.artifacts["rows.txt"].path().read_text("utf-8") for run in runs} == {
        alpha: str(alpha * 2) for alpha in range(count)
    }
