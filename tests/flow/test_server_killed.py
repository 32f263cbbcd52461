"""kill -9 of Prefect's server, again and again under flows: no run is lost, and Prefect gets to know of all.

Whether a flow itself lives on is Prefect's to say: its client gives up at times. What the flow was told to have ended
is recorded and verified all the same, and the next flow takes its place.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
from tests.runner.test_kill import check, none_lost, settle
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
    def kept(first):
        for number in (first, first + 1):
            run = step(alpha=number)
            print(run.id, run.status, flush=True)

    try:
        first = 0
        while not Path("go").exists():
            kept(first)
            first += 2
    finally:
        flush(10)
"""


IMPATIENT = {"PREFECT_CLIENT_MAX_RETRIES": "0", "PREFECT_API_REQUEST_TIMEOUT": "2"}
PREFECTS = ("prefect", "httpx", "httpcore")
"""Whose errors may end the flows of a process: Prefect's, and its HTTP client's."""


@dataclass(frozen=True)
class Flow:
    """A process that has one short flow run after another: it asks the server for something all the time.

    Args:
        process: the process.
        output: where what it prints is kept.
    """

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8")

    @property
    def told(self) -> list[str]:
        """The runs that it was told to have ended, each with its status, in lines."""
        lines = (line for line in self.text.splitlines(keepends=True) if line.endswith("\n"))
        return [line for line in lines if len(words := line.split()) == 2 and len(words[0]) == 36]

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def goes_on(self) -> bool:
        """Wait until it is told of one more run; return False if it has ended instead."""
        before = len(self.told)
        assert eventually(lambda: len(self.told) > before or self.ended, 240), self.text
        return not self.ended

    def gave_up(self) -> bool:
        """Wait for its end; return whether Prefect's client ended it. Nothing else may have."""
        if self.process.wait(240) == 0:
            return False
        _, raised, traceback = self.text.rpartition("Traceback (most recent call last):\n")
        assert raised, self.text
        error = next(line for line in traceback.splitlines() if line[:1].strip())
        assert error.partition(".")[0] in PREFECTS, self.text
        return True


class Flows:
    """Flows, one after another.

    Args:
        root: the project's.
        mark: of their processes.
        server: whose API they use; another one takes its address.
        environ: more variables for their environment.
    """

    def __init__(self, root: Path, mark: str, server: LocalServer, environ: Mapping[str, str]) -> None:
        self._root, self._server = root, server
        quiet = {MARK: mark, "PREFECT_LOGGING_LEVEL": "CRITICAL"}
        self._environ = {**os.environ, **server.client_environ, **quiet, **environ}
        self.all: list[Flow] = []

    def one_under_way(self) -> Flow:
        """Return the flow that is told of runs; where the last one has ended, the next."""
        while not self.all or not self.all[-1].goes_on():
            assert len(self.all) < 100, self.all[-1].text
            output = self._root / f"said-{len(self.all)}"
            command = [sys.executable, str(self._root / "flow.py")]
            with output.open("wb") as said:
                process = subprocess.Popen(
                    command, cwd=self._root, env=self._environ, stdout=said, stderr=subprocess.STDOUT
                )
            self.all.append(Flow(process, output))
        return self.all[-1]

    def kill(self) -> None:
        for flow in self.all:
            flow.process.kill()
            flow.process.wait()


@pytest.mark.parametrize("environ", [{}, IMPATIENT], ids=["patient", "impatient"])
def test_servers_killed_again_and_again_lose_no_run(
    project: Path, write, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    write("short", "alpha: int = 1", ["import time\ntime.sleep(0.2)\nprint(alpha)"])
    (project / "flow.py").write_text(textwrap.dedent(FLOW), encoding="utf-8")
    dice = random.Random(1)
    kills = math.ceil(kills_of("prefect") / 2)
    with contextlib.ExitStack() as stack:
        mark = stack.enter_context(nothing_survives())
        server = LocalServer(tmp_path / "prefect", os.environ)
        stack.callback(lambda: server.stop())  # noqa: PLW0108 - of the one that is there by then
        server.wait()
        port = urlsplit(server.url).port
        assert port is not None
        flows = Flows(project, mark, server, environ)
        stack.callback(flows.kill)
        with counting("kill -9 of Prefect's server under a flow", kills, seed=1) as count:
            for _ in range(kills):
                flows.one_under_way()
                time.sleep(dice.uniform(0.0, 1.0))
                os.kill(server.pid, signal.SIGKILL)
                server.stop()  # gives its folder free
                assert not server.up
                server = LocalServer(tmp_path / "prefect", os.environ, port=port)
                server.wait()
                count.add("killed")
            (project / "go").touch()
            gave_up = sum([flow.gave_up() for flow in flows.all])
            assert gave_up or not environ, "the control: kills do meet requests"
            who = "impatient clients" if environ else "clients as they are"
            count.came = {f"killed under {who}, which gave up {gave_up} times": count.reached}
            look_at(Project.find(project, {**os.environ, MARK: mark}), flows, server)


def look_at(project: Project, flows: Flows, server: LocalServer) -> None:
    """Hold that each run that a flow was told of is recorded and verified, and that Prefect is told of each."""
    settle(project)
    ledger = project.home.ledger
    check(project)
    told = [line for flow in flows.all for line in flow.told]
    assert len(told) >= kills_of("prefect") / 2
    none_lost(told, ledger)
    verifier = Verifier(project, Asked(seen=project.root / "seen.json"))
    found = list(verifier.all())
    assert all(found), [each for each in found if not each]
    assert {line.split()[0] for line in told} <= {each.subject for each in found}
    rows = list(ledger.runs(RunQuery()))
    api = Api(server.url)
    with api.configured():
        untold.tell(project, quiet=timedelta(0))
        assert untold.look(project, quiet=timedelta(0)).overdue == ()
    for flow_run in {row.flow_run for row in rows}:
        assert flow_run is not None
        of_it, state = [row for row in rows if row.flow_run == flow_run], api.flow_run(flow_run)[1]
        assert state in ("Completed", "Failed", "Crashed")
        task_runs = list(api.task_runs(flow_run).values())
        assert set(task_runs) <= {"Completed", "Failed", "Crashed"}
        if state == "Completed":
            assert task_runs == ["Completed"] * len(of_it)
    run = project.run(told[0].split()[0])
    (kept,) = (project.home.folder / "store" / "objects").rglob(run.record.notebook.digest.hex[2:])
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes() + b" ")
    assert not verifier.run(run.id)  # the controls
    with pytest.raises(AssertionError):
        none_lost([told[0].replace("succeeded", "failed")], ledger)
    ledger.close()
