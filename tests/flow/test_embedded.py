"""The embedded Prefect: deployments, a scheduled run, and what is left when a run or its process is ended."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from nbprod.flow import untold
from nbprod.flow.embedded import Embedded
from nbprod.ledger import RunQuery
from nbprod.project import Project, Run
from nbprod.record.status import Status
from tests.flow.conftest import cell
from tests.processes import MARK, command_of, eventually, marked, nothing_survives

pytestmark = [pytest.mark.prefect, pytest.mark.kernel, pytest.mark.slow]

FLOWS = """
    from prefect import flow
    from nbprod.flow import notebook

    quick = notebook("notebooks/quick.ipynb").as_flow(name="quick")
    wait = notebook("notebooks/long.ipynb")

    @flow(name="long")
    def long(alpha: int = 1):
        wait(alpha=alpha)
"""
DEPLOYMENTS = """
    name: tests
    deployments:
      - name: nightly
        entrypoint: flows.py:quick
        parameters: {day: "2013-04-01"}
        tags: [from-yaml]
        schedules: [{cron: "30 3 * * *", timezone: Europe/Berlin, active: false}]
        concurrency_limit: {limit: 1, collision_strategy: ENQUEUE}
        work_pool: {name: nbprod}
      - name: by-hand
        entrypoint: flows.py:long
        work_pool: {name: nbprod}
"""
QUICK = "from datetime import date\nday: date = date(2013, 1, 1)  # which day\nalpha: float = 0.5  # step size"
LONG = """
    import subprocess, time
    from pathlib import Path
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    Path(f"up{alpha}").touch()
    time.sleep(300)
"""


def write(path: Path, parameters: str, source: str) -> None:
    cells = [cell(parameters, "parameters"), cell(textwrap.dedent(source))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")


class Site:
    """A project with an embedded Prefect, and Prefect's API as anybody may use it."""

    def __init__(self, root: Path, environ: dict[str, str]) -> None:
        self.root = root
        self.environ = environ
        self.embedded = Embedded(root)

    def start(self) -> int:
        up = self.embedded.start(self.environ, port=0)
        self.url = up.url
        return up.pid

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/{path}", data=data, headers={"content-type": "application/json"})
        for _ in range(10):
            try:
                with urlopen(request, timeout=30) as reply:
                    return json.load(reply)
            except HTTPError as error:
                if error.code != 503:  # its SQLite was locked: to be asked again, as Prefect's own client does
                    raise
                time.sleep(0.5)
        raise AssertionError(f"{path}: 503, ten times")

    def run(self, deployment: str, **body: Any) -> str:
        found = self.ask(f"deployments/name/{deployment}")
        return self.ask(f"deployments/{found['id']}/create_flow_run", body)["id"]

    def state(self, flow_run: str) -> dict[str, Any]:
        return self.ask(f"flow_runs/{flow_run}")["state"]

    def ends(self, flow_run: str, *, within: float = 60.0) -> dict[str, Any]:
        final = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
        assert eventually(lambda: self.state(flow_run)["type"] in final, within), self.state(flow_run)
        return self.state(flow_run)

    def long(self, alpha: int) -> str:
        """Start a run that takes minutes, and return once its notebook is under way."""
        flow_run = self.run("long/by-hand", parameters={"alpha": alpha})
        assert eventually((self.root / "notebooks" / f"up{alpha}").exists, 60), self.state(flow_run)
        return flow_run

    def record(self, step: str, alpha: float) -> Run | None:
        runs = Project.find(self.root, {}).runs(RunQuery(steps=(step,)))
        return next((run for run in runs if run.parameters["alpha"] == alpha), None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("site")
    (root / "notebooks").mkdir()
    (root / "pyproject.toml").write_text("[tool.nbprod]\n", encoding="utf-8")
    (root / "flows.py").write_text(textwrap.dedent(FLOWS), encoding="utf-8")
    (root / "prefect.yaml").write_text(textwrap.dedent(DEPLOYMENTS), encoding="utf-8")
    write(root / "notebooks" / "quick.ipynb", QUICK, "print(day, alpha)")
    write(root / "notebooks" / "long.ipynb", "alpha: int = 1", LONG)
    with nothing_survives(20) as mark:
        site = Site(root, {**os.environ, MARK: mark, "PYTHONPATH": ""})
        site.mark = mark
        try:
            site.start()
            yield site
        finally:
            site.embedded.stop()


def processes(site: Site, *words: str) -> set[int]:
    return {pid for pid in marked(site.mark) if all(word in command_of(pid) for word in words)}


def test_it_starts_once(site):
    there = site.embedded.find()
    assert there.ready
    assert site.start() == there.pid
    with urlopen(there.ui, timeout=30) as page:
        assert b"<title>" in page.read()


def test_deployments_are_as_prefect_yaml_has_them(site):
    found = site.ask("deployments/name/quick/nightly")
    properties = found["parameter_openapi_schema"]["properties"]
    assert {**properties["day"], "position": 0, "title": "day"} == properties["day"]
    assert (properties["day"]["format"], properties["day"]["description"]) == ("date", "which day")
    assert properties["day"]["default"] == "2013-01-01"
    assert (properties["alpha"]["type"], properties["alpha"]["default"]) == ("number", 0.5)
    assert found["parameters"] == {"day": "2013-04-01"}
    assert found["tags"] == ["from-yaml"]
    assert found["global_concurrency_limit"]["limit"] == 1
    [schedule] = found["schedules"]
    assert (schedule["schedule"]["timezone"], schedule["active"]) == ("Europe/Berlin", False)


def test_a_scheduled_run_leaves_its_record(site):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at}}
    flow_run = site.run("quick/nightly", state=state)
    assert site.ends(flow_run)["type"] == "COMPLETED"
    run = site.record("quick", 0.5)
    assert run.status is Status.SUCCEEDED
    assert run.record.request.given == ("day",)  # the form's other defaults were not given
    assert str(run.parameters["day"]) == "2013-04-01"
    assert Project.find(site.root, {}).home.ledger.run(run.id).tags == ("from-yaml",)
    with temporary_settings({PREFECT_API_URL: None}):  # `nbprod recover` needs no setting to ask it
        assert untold.look(Project.find(site.root, {})).asked == site.url


def test_what_ends_a_run_leaves_a_true_record_and_no_process(site):
    cancelled, killed = site.long(1), site.long(2)
    assert len(processes(site, "sleep")) == 2
    assert processes(site, "fork_server"), "a kernel, and all that holds it, shows its server's command"
    site.ask(f"flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}, "force": False})
    assert site.ends(cancelled)["type"] == "CANCELLED"
    assert site.record("long", 1).status is Status.CANCELLED
    [engine] = processes(site, "prefect.engine")
    os.kill(engine, signal.SIGKILL)
    assert site.ends(killed)["type"] == "CRASHED"
    assert eventually(lambda: site.record("long", 2) is not None, 20)
    assert site.record("long", 2).status is Status.CRASHED
    assert processes(site, "sleep") == set()
    assert eventually(lambda: not processes(site, "fork_server"), 10)


def test_a_killed_up_is_no_obstacle(site):
    left = site.long(3)
    os.kill(site.embedded.find().pid, signal.SIGKILL)
    assert eventually(lambda: not marked(site.mark), 60), {pid: command_of(pid) for pid in marked(site.mark)}
    # Its worker was told to stop, as by `down`; a worker that ends kills the processes of its flow runs.
    assert site.record("long", 3).status is Status.CRASHED
    assert site.embedded.find() is None
    site.start()
    assert site.state(left)["type"] in ("CRASHED", "CANCELLED")


def test_down_leaves_nothing_and_comes_twice(site):
    assert site.embedded.stop() is not None
    assert eventually(lambda: not marked(site.mark))
    assert site.embedded.stop() is None
