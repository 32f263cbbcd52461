"""What Prefect was not told, of flows that were killed or whose API went away, is found, shown and told later."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from click.testing import CliRunner

from nbprod.cli.app import nbprod as application
from nbprod.flow import untold
from nbprod.flow.server import LocalServer
from nbprod.ledger import RunQuery, RunRow
from nbprod.project import Project
from nbprod.record.status import Status
from nbprod.runner.processes import Process
from tests.processes import eventually
from tests.proxy import Fault, Proxy

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.slow,
    # Prefect leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

NOW = timedelta(0)
FLOW = """
    import sys, time
    from pathlib import Path
    from prefect import flow, task
    from nbprod.flow import notebook
    from nbprod.flow.flush import flush

    good, bad, long = (notebook(f"notebooks/{name}.ipynb", reuse=False) for name in ("good", "bad", "long"))

    @task
    def waits():
        Path(f"waits-{sys.argv[1]}").touch()
        while not Path("go").exists():
            time.sleep(0.05)

    @flow(flow_run_name=sys.argv[1])
    def chain():
        good()
        bad(return_state=True)
        waiting = waits.submit()
        if sys.argv[1] == "killed":
            long()
        waiting.wait()

    @flow(flow_run_name=sys.argv[1])
    def two():
        long(alpha=1)
        good(alpha=2)

    try:
        two() if sys.argv[2:] else chain()
    finally:
        flush(5)
"""
LONG = """
    import time
    from pathlib import Path
    Path(f"up-{alpha}").touch()
    while not Path("go").exists():
        time.sleep(0.05)
"""
IMPATIENT = {"PREFECT_API_REQUEST_TIMEOUT": "3", "PREFECT_CLIENT_MAX_RETRIES": "1"}
"""A request that nobody answers gives up after 8 seconds: two tries, and two seconds between them."""


@pytest.fixture
def flows(project: Path, write) -> Path:
    write("good", "alpha: int = 1", ["alpha"])
    write("bad", "alpha: int = 1", ["1/0"])
    write("long", "alpha: int = 1", [textwrap.dedent(LONG)])
    (project / "flow.py").write_text(textwrap.dedent(FLOW), encoding="utf-8")
    return project


@contextlib.contextmanager
def started(root: Path, *args: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    command = [sys.executable, str(root / "flow.py"), *args]
    with subprocess.Popen(command, cwd=root, env={**os.environ, **environ}, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def rows(root: Path, flow_run: str | None = None) -> list[RunRow]:
    query = RunQuery(flow_run=flow_run)
    return list(Project.find(root, {}).home.ledger.runs(query))


class Api:
    """What a server says."""

    def __init__(self, url: str) -> None:
        self.url = url

    def flow_run(self, flow_run: str) -> tuple[str, str, str]:
        with self._client() as client:
            found = client.read_flow_run(UUID(flow_run))
        return found.name, found.state.name, found.state.message or ""

    def task_runs(self, flow_run: str) -> dict[str, str]:
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)]))
        with self._client() as client:
            return {run.name: run.state.name for run in client.read_task_runs(flow_run_filter=wanted)}

    @contextlib.contextmanager
    def _client(self):
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.url}), get_client(sync_client=True) as client:
            yield client


def command(root: Path, *args: str) -> str:
    with contextlib.chdir(root):
        done = CliRunner().invoke(application, args, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code in (0, 1), done.output
    return done.stdout + done.stderr


def doctor(root: Path) -> list[tuple[str, str, str]]:
    with contextlib.chdir(root):
        told = json.loads(CliRunner().invoke(application, ["doctor", "--json"]).stdout)
    return [(each["health"], each["found"], each["advice"]) for each in told if each["what"] == "prefect's runs"]


def test_a_killed_flow_is_told_of_and_a_living_one_left_alone(flows, prefect_server, monkeypatch):
    api = Api(prefect_server.url)
    with started(flows, "killed") as killed, started(flows, "living") as living:
        for name in ("waits-killed", "waits-living", "notebooks/up-1"):
            assert eventually((flows / name).exists, 90), killed.communicate(timeout=5)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        by_step = {row.step: row for row in rows(flows)}
        dead = by_step["long"].flow_run
        [alive] = {row.flow_run for row in rows(flows)} - {dead}
        assert eventually(lambda: all(row.status for row in rows(flows)), 30)  # its keeper closes the killed one
        assert eventually(lambda: len(api.task_runs(alive)) == 3, 30)
        before = {"bad": "Failed", "good": "Completed"}
        assert eventually(lambda: before.items() <= api.task_runs(dead).items(), 30)
        assert api.flow_run(dead)[:2] == ("killed", "Running")  # and so it would stay

        project = Project.find(flows)
        assert untold.look(project) == untold.Untold(asked=prefect_server.url)  # it is too early for certainty
        [found] = untold.look(project, quiet=NOW).overdue
        assert (found.name, found.believed, found.state, found.task_runs) == ("killed", "Running", "Crashed", 2)
        with monkeypatch.context() as broken:  # the control: it is the process that the living flow is known by
            broken.setattr(Process, "gone", True)
            assert {each.name for each in untold.look(project, quiet=NOW).overdue} == {"killed", "living"}

        monkeypatch.setattr(untold, "QUIET", NOW)
        [(health, text, advice)] = doctor(flows)
        assert health == "warn"
        assert "believes 1 flow run and 2 task runs to be under way, which are over" in text
        assert "nbprod recover" in advice
        assert api.flow_run(dead)[1] == "Running"  # looking tells nobody
        said = command(flows, "recover")
        assert "Told Prefect: flow run killed is Crashed, not Running; the endings of 2 task runs." in said

        _, state, message = api.flow_run(dead)
        assert state == "Crashed"
        assert "its 3 notebook runs are recorded: 1 succeeded, 1 failed, 1 crashed; what it did besides" in message
        assert {**before, "long": "Crashed"}.items() <= api.task_runs(dead).items()
        assert set(api.task_runs(dead).values()) == {"Completed", "Failed", "Crashed"}
        assert "Prefect" not in command(flows, "recover")  # told once
        assert [health for health, *_ in doctor(flows)] == ["ok"]
        assert api.flow_run(alive)[:2] == ("living", "Running")
        (flows / "go").touch()
        living.communicate(timeout=60)
    assert untold.tell(project, quiet=NOW).overdue == ()
    assert api.flow_run(alive)[1] == "Completed"


def test_a_server_that_is_restarted_or_gone_for_the_end(flows, tmp_path, prefect_server):
    own, roots = tmp_path / "own", {}
    for name in ("restarted", "gone"):
        roots[name] = Path(tmp_path / name)
        flows.rename(roots[name]) if name == "gone" else subprocess.run(["cp", "-r", flows, roots[name]], check=True)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(LocalServer(own, os.environ))
        port = urlsplit(server.url).port
        server.wait()
        environ = {"PREFECT_API_URL": server.url}
        restarted = stack.enter_context(started(roots["restarted"], "restarted", "two", **environ))
        gone = stack.enter_context(started(roots["gone"], "gone", "two", **environ, **IMPATIENT))
        for root in roots.values():
            assert eventually((root / "notebooks" / "up-1").exists, 90)
        server.stop()
        (roots["gone"] / "notebooks" / "go").touch()
        said = gone.communicate(timeout=120)[0].decode()
        assert gone.returncode != 0, said
        server = stack.enter_context(LocalServer(own, os.environ, port=port))
        server.wait()
        assert urlsplit(server.url).port == port
        (roots["restarted"] / "notebooks" / "go").touch()
        said = restarted.communicate(timeout=120)[0].decode()
        assert restarted.returncode == 0, said
        api = Api(server.url)
        for name, root in roots.items():
            there = rows(root)
            assert [row.status for row in there] == [Status.SUCCEEDED] * 2
            [flow_run] = {row.flow_run for row in there}
            assert eventually(lambda run=flow_run: api.task_runs(run), 30)
            with pointed_at(server.url):
                told = untold.tell(Project.find(root), quiet=NOW)
            if name == "gone":
                [overdue] = told.overdue
                assert (overdue.believed, overdue.state) == ("Running", "Crashed")
                assert "2 succeeded" in api.flow_run(flow_run)[2]
            assert api.flow_run(flow_run)[1] == {"restarted": "Completed", "gone": "Crashed"}[name]
            finished = {"long(alpha=1)": "Completed", "good(alpha=2)": "Completed"}
            assert eventually(lambda run=flow_run, names=finished: api.task_runs(run) == names, 30), api.task_runs(
                flow_run
            )


@contextlib.contextmanager
def pointed_at(url: str) -> Iterator[None]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        yield


@pytest.mark.parametrize("fault", [Fault.HALF_OPEN, Fault.NONE])
def test_an_api_that_falls_silent(flows, prefect_server, fault):
    address = urlsplit(prefect_server.url)
    with Proxy((address.hostname, address.port)) as proxy:
        url = f"http://{proxy.host}:{proxy.port}/api"
        with started(flows, "silent", "two", PREFECT_API_URL=url, **IMPATIENT) as process:
            assert eventually((flows / "notebooks" / "up-1").exists, 90)
            proxy.switch(fault)
            (flows / "notebooks" / "go").touch()
            said = process.communicate(timeout=150)[0].decode()  # it ends by itself
    assert [row.status for row in rows(flows)] == [Status.SUCCEEDED] * 2, said
    [flow_run] = {row.flow_run for row in rows(flows)}
    api, project = Api(prefect_server.url), Project.find(flows)
    if fault is Fault.NONE:  # the control
        assert process.returncode == 0, said
        assert eventually(lambda: set(api.task_runs(flow_run).values()) == {"Completed"}, 30)
        assert untold.tell(project, quiet=NOW).overdue == ()
        assert api.flow_run(flow_run)[1] == "Completed"
        return
    assert process.returncode != 0, said
    assert api.flow_run(flow_run)[1] == "Running"
    [told] = untold.tell(project, quiet=NOW).overdue
    assert (told.state, told.task_runs) == ("Crashed", 2)
    assert api.flow_run(flow_run)[1] == "Crashed"
    assert api.task_runs(flow_run) == {"long(alpha=1)": "Completed", "good(alpha=2)": "Completed"}


def test_no_api_and_one_that_does_not_answer_are_told_in_a_line(flows, prefect_server):
    project = Project.find(flows)
    assert untold.look(project) == untold.Untold()  # nothing is known: nobody is asked
