"""What people know of Prefect's tasks holds for notebooks: hooks, limits by tag, async flows. On a real server."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from prefect import flow, unmapped
from prefect.client.orchestration import get_client
from prefect.task_runners import ThreadPoolTaskRunner

from nbprod.errors import RunNotSuccessful
from nbprod.flow import NotebookTask, notebook
from nbprod.project import Run
from nbprod.record.status import Status

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.usefixtures("prefect_server"),
    # Prefect leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_hooks_are_given_the_named_state(project, write):
    heard = []

    def fails(task, task_run, state):
        heard.append(("failure", task.name, task_run.name, state.name))

    def completes(task, task_run, state):
        heard.append(("completion", task.name, task_run.name, state.name))

    hooks = {"on_failure": [fails], "on_completion": [completes]}
    for name, source in (("good", "1"), ("bad", "1/0"), ("slow", "import time\ntime.sleep(60)")):
        write(name, "alpha: int = 1", [source])
    good, bad = (notebook(f"notebooks/{name}.ipynb", root=project, **hooks) for name in ("good", "bad"))
    slow = notebook("notebooks/slow.ipynb", root=project, timeout_seconds=3, **hooks)

    @flow
    def all_three():
        good(alpha=2)
        good(alpha=2)
        for task in (bad, slow):
            with pytest.raises(RunNotSuccessful):
                task()

    all_three()
    assert heard == [
        ("completion", "good", "good(alpha=2)", "Completed"),
        ("completion", "good", "good(alpha=2)", "Cached"),
        ("failure", "bad", "bad", "Failed"),
        ("failure", "slow", "slow", "TimedOut"),
    ]


def overlap(runs: list[Run]) -> bool:
    first, second = sorted(runs, key=lambda run: run.started)
    return second.started < first.started + timedelta(seconds=first.seconds)


def test_a_limit_by_tag_holds(project, write):
    write("slow", "alpha: int = 1", ["import time\ntime.sleep(3)"])
    task = notebook("notebooks/slow.ipynb", root=project, reuse=False)
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit(tag="one-at-a-time", concurrency_limit=1)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def twice(chosen: NotebookTask):
        return chosen.map(alpha=[1, 2]).result()

    twice = twice.with_options(validate_parameters=False)
    assert overlap(twice(task))  # the control
    assert not overlap(twice(task.with_options(tags=["one-at-a-time"])))


def test_async_flows_two_at_once(project, write):
    write("add", "alpha: int = 1\nbeta: int = 0", ["import scrapbook as sb\nsb.glue('sum', alpha + beta)"])
    task = notebook("notebooks/add.ipynb", root=project, reuse=False)

    @flow
    async def add(beta: int):
        called = await asyncio.to_thread(task, alpha=1, beta=beta)
        mapped = task.with_options(name="mapped").map(alpha=[2, 3], beta=unmapped(beta))
        after = task.submit(alpha=4, beta=beta, wait_for=[mapped[0]])
        return [called, *(future.result() for future in mapped), after.result()]

    async def both():
        return await asyncio.gather(add(10), add(20))

    left, right = asyncio.run(both())
    assert [run.scraps["sum"] for run in left] == [11, 12, 13, 14]
    assert [run.scraps["sum"] for run in right] == [21, 22, 23, 24]
    assert {run.status for run in (*left, *right)} == {Status.SUCCEEDED}
    assert left[3].started >= left[1].started + timedelta(seconds=left[1].seconds)
