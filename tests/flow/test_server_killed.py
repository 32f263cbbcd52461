"""kill -9 of Prefect's server, again and again under a flow: no run is lost, and Prefect gets to know of all."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nbprod.flow import untold
from nbprod.flow.server import LocalServer
from nbprod.ledger import RunQuery
from nbprod.project import Project
from nbprod.project.verifying import Asked, Verifier
from tests.flow.test_untold import Api
from tests.processes import MARK, eventually, nothing_survives
from tests.tally import counting, kills_of

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.torture,
    pytest.mark.timeout(3500),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

FLOW = """
    from pathlib import Path
    from prefect import flow
    from nbprod.flow import notebook
    from nbprod.flow.flush import flush

    step = notebook("notebooks/short.ipynb", reuse=False)

    @flow(flow_run_name="kept")
    def kept():
        number = 0
        while not Path("go").exists():
            number += 1
            run = step(alpha=number)
            print(run.id, run.status, flush=True)

    try:
        kept()
    finally:
        flush(10)
"""


@contextlib.contextmanager
def flow_under_way(root: Path, mark: str, server: LocalServer) -> Iterator[subprocess.Popen[str]]:
    environ = {**os.environ, **server.client_environ, MARK: mark, "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    command = [sys.executable, str(root / "flow.py")]
    with (root / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=root, env=environ, stdout=said, stderr=subprocess.STDOUT, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(root: Path) -> list[tuple[str, str]]:
    """Return the runs that the flow was told to have ended, with their status."""
    lines = (root / "said").read_text("utf-8").splitlines()
    return [(words[0], words[1]) for line in lines if len(words := line.split()) == 2 and len(words[0]) == 36]


def test_a_server_killed_again_and_again_loses_no_run(project: Path, write, tmp_path: Path) -> None:
    write("short", "alpha: int = 1", ["import time\ntime.sleep(0.2)\nprint(alpha)"])
    (project / "flow.py").write_text(textwrap.dedent(FLOW), encoding="utf-8")
    dice = random.Random(1)
    kills = kills_of("prefect")
    with contextlib.ExitStack() as stack:
        mark = stack.enter_context(nothing_survives())
        server = LocalServer(tmp_path / "prefect", os.environ)
        stack.callback(lambda: server.stop())  # noqa: PLW0108 - of the one that is there by then
        server.wait()
        port = urlsplit(server.url).port
        assert port is not None
        flow = stack.enter_context(flow_under_way(project, mark, server))
        with counting("kill -9 of Prefect's server under a flow", kills, seed=1) as count:
            for _ in range(kills):
                before = len(said(project))
                assert eventually(lambda before=before: len(said(project)) > before, 240), (
                    project / "said"
                ).read_text()
                time.sleep(dice.uniform(0.0, 1.0))
                os.kill(server.pid, signal.SIGKILL)
                server.stop()  # gives its folder free
                server = LocalServer(tmp_path / "prefect", os.environ, port=port)
                server.wait()
                count.add("killed")
            (project / "go").touch()
            assert flow.wait(240) == 0, (project / "said").read_text()
            looked_at(project, server)


def looked_at(root: Path, server: LocalServer) -> None:
    """Hold that each run that the flow was told of is recorded and verified, and that Prefect is told of each."""
    project = Project.find(root)
    recorded = {str(row.run_id): str(row.status) for row in project.home.ledger.runs(RunQuery())}
    assert dict(said(root)) == recorded
    assert set(recorded.values()) == {"succeeded"}
    found = list(Verifier(project, Asked(seen=root / "seen.json")).all())
    assert all(found), [each for each in found if not each]
    (flow_run,) = {row.flow_run for row in project.home.ledger.runs(RunQuery())}
    assert flow_run is not None
    api = Api(server.url)
    with api.configured():
        untold.tell(project, quiet=timedelta(0))
        assert untold.look(project, quiet=timedelta(0)).overdue == ()
    assert api.flow_run(flow_run)[1] == "Completed"
    assert set(api.task_runs(flow_run).values()) == {"Completed"}
    assert len(api.task_runs(flow_run)) == len(recorded)
    project.home.ledger.close()
