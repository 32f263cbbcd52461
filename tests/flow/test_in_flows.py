"""Notebook tasks in flows, on a real Prefect server and with real kernels."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import cloudpickle
import prefect
import pytest
from prefect import flow, unmapped
from prefect.client.schemas.objects import StateType
from prefect.task_runners import ThreadPoolTaskRunner

from nbprod.errors import NotFound, RunNotSuccessful
from nbprod.execution.events import CellFinished
from nbprod.flow import notebook, watch
from nbprod.project import Project, Run
from nbprod.record.status import Status

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.usefixtures("prefect_server"),
    # Prefect leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

WRITES = ["from pathlib import Path\nPath(output_dir, 'rows.txt').write_text(str(alpha))\nprint('wrote', alpha)"]
READS = ["from pathlib import Path\nprint(Path(rows).read_text())"]


@pytest.fixture
def ingest(project, write):
    write("ingest", "from pathlib import Path\nalpha: int = 1\noutput_dir: Path = Path('out')", WRITES)
    return notebook("notebooks/ingest.ipynb", root=project)


@pytest.fixture
def features(project, write):
    write("features", "from pathlib import Path\nrows: Path = Path('none')\nalpha: int = 0", READS)
    return notebook("notebooks/features.ipynb", root=project)


def task_runs(flow_run_id, count: int):
    """Return a flow run's task runs, once all have reached the server: they travel as events, and late."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    until = time.monotonic() + 30
    with get_client(sync_client=True) as client:
        while True:
            found = client.read_task_runs(flow_run_filter=wanted)
            if len(found) >= count and all(run.state and run.state.is_final() for run in found):
                return found
            assert time.monotonic() < until, found
            time.sleep(0.3)


def artifacts_of(flow_run_id):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with get_client(sync_client=True) as client:
        filters = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        found = client.read_artifacts(artifact_filter=filters)
    return {kind: [artifact.data for artifact in found if artifact.type == kind] for kind in ("progress", "markdown")}


def test_calls_artifacts_names_and_reports(ingest, features):
    heard = []

    @flow
    def chain():
        data = ingest(alpha=7)
        table = features(rows=data.artifacts["rows.txt"])
        return data, table, prefect.runtime.flow_run.id

    with watch(heard.append):
        data, table, flow_run_id = chain()
    assert isinstance(data, Run)
    assert data.parameters["alpha"] == 7
    assert data.record.request.given == ("alpha",)  # the default of output_dir was not given, so the file was kept
    [edge] = [entry for entry in table.record.request.inputs if entry.run is not None]
    assert (edge.name, edge.run) == ("rows", data.id)
    assert cloudpickle.loads(cloudpickle.dumps(data)) == data
    assert [notice.news for notice in heard if isinstance(notice.news, Run)] == [data, table]
    assert sum(isinstance(notice.news, CellFinished) for notice in heard) >= 4

    runs = {run.name: run for run in task_runs(flow_run_id, 2)}
    first, second = runs["ingest(alpha=7)"], runs[f"features(rows=rows.txt@{data.id.short})"]
    assert [entry.id for entry in second.task_inputs["rows"]] == [first.id]  # Prefect draws the edge
    found = artifacts_of(flow_run_id)
    assert set(found["progress"]) <= {100.0}, "a run of less than a second has none"
    assert all(any(f"`{run.id}`" in text for text in found["markdown"]) for run in (data, table))


def test_output_reaches_prefects_log(ingest):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("prefect.task_runs")
    logger.addHandler(handler)
    try:
        flow(lambda: ingest(alpha=41), name="once")()
    finally:
        logger.removeHandler(handler)
    assert "[cell 1] wrote 41" in lines


def test_submit_map_and_futures(ingest, features):
    @flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
    def mapped():
        data = ingest.map(alpha=[1, 2, 3], parameters={})
        tables = features.with_options(name="renamed").map(rows=data, alpha=unmapped(5))
        one = features.submit(rows=data[0], wait_for=[tables[0]])
        return data.result(), tables.result(), one.result()

    data, tables, one = mapped()
    assert [run.parameters["alpha"] for run in data] == [1, 2, 3]
    upstream = [run.record.request.inputs[0].run for run in (*tables, one)]
    assert upstream == [data[0].id, data[1].id, data[2].id, data[0].id]


def test_two_tasks_with_equal_parameters_never_share_a_result(project, write):
    tasks = []
    for name in ("left", "right"):
        write(name, "alpha: int = 1", ["alpha"])
        tasks.append(notebook(f"notebooks/{name}.ipynb", root=project, persist_result=True))

    @flow(persist_result=True)
    def both():
        return [task(alpha=1) for task in (*tasks, tasks[0].with_options(persist_result=True))]

    left, right, again = both()
    assert (left.step, right.step, again.step) == ("left", "right", "left")
    assert len({left.id, right.id, again.id}) == 3


ENDINGS = [
    ("1/0", Status.FAILED, StateType.FAILED, "Failed"),
    ("import os; os._exit(3)", Status.KERNEL_DIED, StateType.FAILED, "Failed"),
    ("import sys; sys.exit(0)", Status.EXITED_EARLY, StateType.FAILED, "Failed"),
    ("import time; time.sleep(60)", Status.TIMED_OUT, StateType.FAILED, "TimedOut"),
    ("1", Status.SUCCEEDED, StateType.COMPLETED, "Completed"),
]


def test_endings_are_prefects_states(project, write):
    tasks = []
    for number, (source, *_) in enumerate(ENDINGS):
        write(f"end{number}", "alpha: int = 1", [source, "2"])
        tasks.append(notebook(f"notebooks/end{number}.ipynb", root=project, timeout_seconds=3))

    @flow
    def endings():
        futures = [task.submit() for task in tasks]
        for future in futures:
            future.wait()
        called = tasks[0](return_state=True)
        with pytest.raises(RunNotSuccessful, match="ZeroDivisionError"):
            tasks[0]()
        return [future.state for future in futures], called

    states, called = endings(return_state=True).result(raise_on_failure=False)
    for state, (_, status, kind, name) in zip(states, ENDINGS, strict=True):
        assert (state.type, state.name) == (kind, name)
        result = state.result(raise_on_failure=False)
        assert str(result.status) == status
        if status is not Status.SUCCEEDED:
            assert result.reason in state.message
            assert ".ipynb" in state.message
    assert called.name == "Failed"
    assert "kernel_died" in states[1].message


def test_retries(project, write):
    marker = project / "tried"
    source = f"from pathlib import Path\nmark = Path({str(marker)!r})\nfirst = not mark.exists()"
    write("flaky", "alpha: int = 1", [source, "mark.touch()", "assert not first"])
    flaky = notebook("notebooks/flaky.ipynb", root=project, retries=2)

    @flow
    def retried():
        return flaky(), flaky(return_state=True, alpha="no number")

    run, refused = retried(return_state=True).result(raise_on_failure=False)
    assert run.status is Status.SUCCEEDED
    ended = [str(entry.status) for entry in Project.find(project).runs(_all())]
    assert sorted(ended) == ["failed", "succeeded"]  # what doesn't fit was not tried, and not three times
    assert refused.is_failed()
    assert "alpha: expected int" in str(refused.result(raise_on_failure=False))


def _all():
    from nbprod.ledger import RunQuery

    return RunQuery()


def test_cancelled_run_is_a_cancelled_task(project, write):
    write("long", "alpha: int = 1", ["import time\ntime.sleep(60)"])
    long = notebook("notebooks/long.ipynb", root=project)

    def cancel_it():
        ledger = Project.find(project).home.ledger
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                ledger.request_cancel(ledger.find("long@latest"))
            except NotFound:
                time.sleep(0.2)
            else:
                return

    @flow
    def waits():
        future = long.submit()
        future.wait()
        return future.state

    thread = threading.Thread(target=cancel_it)
    thread.start()
    state = waits(return_state=True).result(raise_on_failure=False)
    thread.join()
    assert state.type is StateType.CANCELLED
    assert Project.find(project).run("long@latest").status is Status.CANCELLED


FLOW = """
    import sys
    from prefect import flow
    from nbprod.flow import notebook
    long = notebook("notebooks/long.ipynb")

    @flow
    def waits():
        if sys.argv[1] == "call":
            long()
        else:
            [future.result() for future in long.map(alpha=[1, 2])]

    waits()
"""


@pytest.mark.parametrize(("how", "count", "number"), [("call", 1, signal.SIGTERM), ("map", 2, signal.SIGTERM)])
def test_a_signal_to_the_flow_leaves_cancelled_runs(project, write, how, count, number):
    source = "import time\nfrom pathlib import Path\nPath(f'up{alpha}').touch()\ntime.sleep(60)"
    write("long", "alpha: int = 1", [source])
    script = project / "flow.py"
    script.write_text(textwrap.dedent(FLOW), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), how], cwd=project, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        until = time.monotonic() + 60
        while len(list((project / "notebooks").glob("up*"))) < count and time.monotonic() < until:
            time.sleep(0.2)
        # Prefect's handler raises in the main thread; what is raised while Python is in a finalizer is lost. So whoever
        # stops a process says it again.
        for _ in range(4):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, errors = process.communicate(timeout=10)
                break
    assert process.returncode != 0
    runs = list(Project.find(project).runs(_all()))
    assert [run.status for run in runs] == [Status.CANCELLED] * count, errors.decode()
    assert "told to stop" in runs[0].reason or "stopped" in runs[0].reason


def test_a_flow_that_times_out_leaves_a_cancelled_run(project, write):
    write("long", "alpha: int = 1", ["import time\ntime.sleep(60)"])
    long = notebook("notebooks/long.ipynb", root=project)

    @flow(timeout_seconds=4)
    def short():
        long()

    state = short(return_state=True)
    assert (state.type, state.name) == (StateType.FAILED, "TimedOut")
    assert Project.find(project).run("long@latest").status is Status.CANCELLED


def test_async_flow(ingest):
    @flow
    async def main():
        future = ingest.submit(alpha=3)
        return ingest(alpha=2), future.result()

    called, submitted = asyncio.run(main())
    assert (called.parameters["alpha"], submitted.parameters["alpha"]) == (2, 3)


@pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs'")  # Prefect's own, for any task outside a flow
def test_outside_a_flow(ingest):
    assert ingest(alpha=9).status is Status.SUCCEEDED


def test_reserved_names_reach_the_notebook(project, write):
    write("odd", "wait_for: int = 1\nalpha: int = 1", ["assert (wait_for, alpha) == (5, 2)"])
    odd = notebook("notebooks/odd.ipynb", root=project)

    @flow
    def main():
        return odd(alpha=2, parameters={"wait_for": 5})

    assert main().parameters["wait_for"] == 5
