"""A runner that was stopped past its lease and wakes changes nothing of what its successors did."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbprod.ledger.events import SECOND_ENDING, RunFinished, RunHeard
from nbprod.project import Project, RunOptions
from nbprod.record.ids import RunId
from nbprod.runner import closer
from nbprod.runner.output import LEFT_TO_SUCCESSOR
from nbprod.runner.started import RunFolder
from tests.notebooks import PARAMETERS, project_in, write
from tests.postgres import PostgresServer
from tests.processes import eventually, nothing_survives

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")]

SLOW = "import time, pathlib\nfor _ in range(600):\n    time.sleep(0.05)\n    if pathlib.Path('go').exists(): break"


@pytest.fixture(params=["sqlite", "postgresql"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    environ = {}
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        environ["NBPROD_LEDGER"] = postgres.url(postgres.database())
    with nothing_survives() as mark, project_in(tmp_path / "project", mark, environ=environ) as project:
        write(project.root / "slow.ipynb", ("output_dir = 'x'", PARAMETERS), SLOW)
        write(project.root / "quick.ipynb", ("output_dir = 'x'", PARAMETERS), "print('the successor')")
        yield project


@contextmanager
def runner(project: Project, notebook: str, lease: float, point: str = "-") -> Iterator[subprocess.Popen[str]]:
    arguments = [str(project.root), notebook, str(project.root / "out.ipynb"), str(lease), point]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runner.paused_runner", *arguments],
        env=dict(project.environ),
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def succeed(project: Project) -> RunId:
    """Run another notebook to the same OUTPUT."""
    job = project.job(project.step(project.root / "quick.ipynb"), {}, RunOptions(output=project.root / "out.ipynb"))
    return project.run_job(job).raise_for_status().id


def owner(project: Project) -> str:
    return str(json.loads((project.root / "out.ipynb").read_text())["metadata"]["nbprod"]["run"])


def heard(project: Project, run_id: RunId) -> list[RunHeard]:
    found = (stored.event for stored in project.home.ledger.events(run_id))
    return [event for event in found if isinstance(event, RunHeard)]


def test_a_stopped_runner_that_wakes_ends_itself_and_leaves_its_successors_output(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runner(project, "slow.ipynb", 0.5) as process:
        run_id = RunId(said(process))
        assert eventually(RunFolder(Path(project.home.ledger.run(run_id).folder)).journal.exists, 10)
        time.sleep(0.6)
        assert project.recover() == []  # the control: it renews its lease, and nobody takes it over
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        assert project.recover() == []  # its lease is over, but it is a process of this host: it gets ten leases
        monkeypatch.setattr(closer, "LEASE_SECONDS", 0.0)
        closed: list[RunId] = []  # on a busy machine its last renewal may have come late
        assert eventually(lambda: closed.extend(project.recover()) or closed == [run_id], 10)
        successor = succeed(project)
        process.send_signal(signal.SIGCONT)
        assert said(process) == "Fenced"
        process.wait(20)
    ledger = project.home.ledger
    assert ledger.run(run_id).status == "crashed"
    ends = [each.event for each in ledger.events(run_id) if isinstance(each.event, RunFinished)]
    assert [event.fence for event in ends] == [1]
    assert [event.what for event in heard(project, run_id)] == [SECOND_ENDING]
    assert owner(project) == str(successor)


@pytest.mark.parametrize("succeeded", [True, False])
@pytest.mark.parametrize("project", ["sqlite"], indirect=True)
def test_a_runner_stopped_after_its_verdict_leaves_its_successors_output(project: Project, succeeded: bool) -> None:  # noqa: FBT001
    with runner(project, "quick.ipynb", 30.0, "verdict") as process:
        run_id = RunId(said(process))
        assert eventually(lambda: is_stopped(process.pid), 20)
        assert project.home.ledger.run(run_id).status == "succeeded"
        expected = str(succeed(project) if succeeded else run_id)
        process.send_signal(signal.SIGCONT)
        assert said(process) == "succeeded"
        process.wait(20)
    assert owner(project) == expected  # the control: without a successor it is its own
    told = [event for event in heard(project, run_id) if event.what == LEFT_TO_SUCCESSOR]
    assert [event.data for event in told] == [{"output": str(project.root / "out.ipynb"), "by": expected}] * succeeded
