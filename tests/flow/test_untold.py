"""What Prefect was not told, of flows that were killed or whose API went away, is found, shown and told later."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from nbprod.cli.app import nbprod as application
from nbprod.flow import untold
from nbprod.flow.caller import caller_of
from nbprod.flow.check import check_untold
from nbprod.flow.server import LocalServer
from nbprod.ledger import RunQuery, RunRow
from nbprod.project import Project
from nbprod.record.ids import RunId
from nbprod.record.status import Status
from nbprod.runner.processes import Process
from tests import telling
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
Flows = dict[str, subprocess.Popen[bytes]]
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
    def short():
        long(alpha=1)
        if sys.argv[1] == "gone":
            good(alpha=2)

    try:
        chain() if sys.argv[1] in ("killed", "living") else short()
    finally:
        flush(3)
"""
LONG = """
    import time
    from pathlib import Path
    Path(f"up-{alpha}").touch()
    while not Path("go").exists():
        time.sleep(0.05)
"""
BOUNDED = {"PREFECT_API_REQUEST_TIMEOUT": "10", "PREFECT_CLIENT_MAX_RETRIES": "1"}
"""As docs/how-to/prefect.md advises, with fewer tries: a request that is swallowed gives up after 22 seconds."""


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

    def __init__(self, url: str | None) -> None:
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

    def cancel(self, flow_run: str) -> None:
        """Ask for its end, as the button of the UI does; who should carry it out is gone."""
        from prefect.states import Cancelling

        with self._client() as client:
            client.set_flow_run_state(UUID(flow_run), Cancelling())

    def forget(self, task_run: UUID) -> None:
        """Have it as if the API had never heard of a task run."""
        with self._client() as client:
            client.delete_task_run(task_run)

    @contextlib.contextmanager
    def configured(self) -> Iterator[None]:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.url}):
            yield

    @contextlib.contextmanager
    def _client(self):
        from prefect.client.orchestration import get_client

        with self.configured(), get_client(sync_client=True) as client:
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
            assert eventually((flows / name).exists, 150), killed.communicate(timeout=5)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        by_step = {row.step: row for row in rows(flows)}
        dead = by_step["long"].flow_run
        [alive] = {row.flow_run for row in rows(flows)} - {dead}
        assert eventually(lambda: all(row.status for row in rows(flows)), 60)  # its keeper closes the killed one
        assert eventually(lambda: len(api.task_runs(alive)) == 3, 60)
        before = {"bad": "Failed", "good": "Completed"}
        forgotten = {row.step: row for row in rows(flows, dead)}["good"]
        assert eventually(lambda: before.items() <= api.task_runs(dead).items(), 60)
        assert api.flow_run(dead)[:2] == ("killed", "Running")  # and so it would stay
        api.forget(caller_of(Project.find(flows, {}).home.ledger, forgotten.run_id).task_run)

        project = Project.find(flows)
        assert untold.look(project) == untold.Untold(asked=prefect_server.url)  # it is too early for certainty
        [found] = untold.look(project, quiet=NOW).overdue
        assert (found.name, found.believed, found.state, found.task_runs) == ("killed", "Running", "Crashed", 3)
        with monkeypatch.context() as broken:  # the control: it is the process that the living flow is known by
            broken.setattr(Process, "gone", True)
            assert {each.name for each in untold.look(project, quiet=NOW).overdue} == {"killed", "living"}

        monkeypatch.setattr(untold, "QUIET", NOW)
        [(health, text, advice)] = doctor(flows)
        assert health == "warn"
        assert "believes 1 flow run and 3 task runs to be under way, which are over" in text
        assert "nbprod recover" in advice
        assert api.flow_run(dead)[1] == "Running"  # looking tells nobody
        said = command(flows, "recover")
        assert "Told Prefect: flow run killed is Crashed, not Running; the endings of 3 task runs." in said

        _, state, message = api.flow_run(dead)
        assert state == "Crashed"
        assert "its 3 notebook runs are recorded: 1 succeeded, 1 failed, 1 crashed; what it did besides" in message
        assert {**before, "long": "Crashed"}.items() <= api.task_runs(dead).items()
        assert set(api.task_runs(dead).values()) == {"Completed", "Failed", "Crashed"}
        assert "Prefect" not in command(flows, "recover")  # told once
        assert [found.health for found in check_untold(project)] == ["ok"]
        assert api.flow_run(alive)[:2] == ("living", "Running")
        (flows / "go").touch()
        living.communicate(timeout=60)
    assert untold.tell(project, quiet=NOW).overdue == ()
    assert api.flow_run(alive)[1] == "Completed"


KINDS = ("restarted", "gone", "silent", "passing")


@contextlib.contextmanager
def all_started(roots: dict[str, Path], own: LocalServer, session: LocalServer) -> Iterator[Flows]:
    """Start a flow of each kind: two at a server that will be stopped, two behind proxies of another."""
    address = urlsplit(session.url)
    with contextlib.ExitStack() as stack:
        proxies = {n: stack.enter_context(Proxy((address.hostname, address.port))) for n in ("silent", "passing")}
        urls = {n: f"http://{proxy.host}:{proxy.port}/api" for n, proxy in proxies.items()}
        flows = {
            name: stack.enter_context(
                started(
                    root,
                    name,
                    PREFECT_API_URL=urls.get(name, own.url),
                    **({} if name == "restarted" else BOUNDED),
                )
            )
            for name, root in roots.items()
        }
        for name, root in roots.items():
            assert eventually((root / "notebooks" / "up-1").exists, 150), flows[name].communicate(timeout=5)
        proxies["silent"].switch(Fault.HALF_OPEN)
        yield flows


@pytest.mark.torture
def test_servers_that_are_restarted_gone_or_silent(flows, tmp_path, prefect_server):
    roots = {name: Path(shutil.copytree(flows, tmp_path / name)) for name in KINDS}
    said: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(LocalServer(tmp_path / "own", os.environ))
        server.wait()
        running = stack.enter_context(all_started(roots, server, prefect_server))
        server.stop()
        for name in ("gone", "silent", "passing"):
            (roots[name] / "notebooks" / "go").touch()
        for name in ("gone", "passing"):
            said[name] = running[name].communicate(timeout=240)[0].decode()
        server = stack.enter_context(LocalServer(tmp_path / "own", os.environ, port=urlsplit(server.url).port))
        server.wait()
        (roots["restarted"] / "notebooks" / "go").touch()
        for name in ("restarted", "silent"):  # which ends by itself
            said[name] = running[name].communicate(timeout=240)[0].decode()
        good = {name: process.returncode == 0 for name, process in running.items()}
        assert good == {"restarted": True, "gone": False, "silent": False, "passing": True}, said

        long = {"long(alpha=1)": "Completed"}
        for name, root in roots.items():
            there = rows(root)
            assert [row.status for row in there] == [Status.SUCCEEDED] * (2 if name == "gone" else 1)
            [flow_run] = {row.flow_run for row in there}
            api = Api(server.url if name in ("restarted", "gone") else prefect_server.url)
            if good[name]:  # the controls
                assert eventually(lambda api=api, run=flow_run: api.task_runs(run) == long, 60)
            else:
                assert api.flow_run(flow_run)[1] == "Running"
            if name == "silent":
                api.cancel(flow_run)
            ended = "Completed" if good[name] else "Cancelled" if name == "silent" else "Crashed"
            with api.configured():
                overdue = untold.tell(Project.find(root), quiet=NOW).overdue
            assert [(each.believed, each.state) for each in overdue] == {
                "Completed": [],
                "Cancelled": [("Cancelling", "Cancelled")],
                "Crashed": [("Running", "Crashed")],
            }[ended]
            assert api.flow_run(flow_run)[1] == ended
            # The second one of `gone` is one that the server had never heard of.
            assert api.task_runs(flow_run) == (long | {"good(alpha=2)": "Completed"} if name == "gone" else long)


def test_an_api_that_is_not_there_is_told_in_a_line(flows, monkeypatch):
    assert command(flows, "recover") == "Nothing to close: no run is open.\n"  # no flow run is known: nobody is asked
    assert doctor(flows) == []
    made = telling.started(
        RunId.new(datetime.now(UTC), bytes(10)),
        at=datetime.now(UTC),
        host="elsewhere",
        lease_seconds=600.0,
        folder="/nowhere",
        flow_run=str(uuid4()),
    )
    Project.find(flows, {}).home.ledger.append(made)
    with Api("http://127.0.0.1:9/api").configured():  # nobody listens
        assert "Prefect was told nothing: Prefect's API at http://127.0.0.1:9/api" in command(flows, "recover")
        [(health, text, _)] = doctor(flows)
        assert (health, "ConnectError" in text) == ("warn", True)
    with Api(None).configured():
        said = command(flows, "recover")
        assert "no Prefect API is configured: set PREFECT_API_URL" in said
        assert "its runner counts as alive" in said  # the rest is done all the same
