"""kill -9 at any moment: nothing survives, every started run has one verdict, and no row points at missing bytes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbprod.errors
from nbprod.attest.bundle import from_lines
from nbprod.ledger import Ledger, RunQuery
from nbprod.ledger.events import RunFinished, RunStarted
from nbprod.project import Project, Run
from nbprod.record.ids import RunId
from nbprod.verify.content import objects_of
from tests.notebooks import PARAMETERS, lies_of, project_in, write
from tests.processes import MARK, command_of, eventually, marked, nothing_survives
from tests.tally import counting, kills_of

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="subreapers and parent-death signals are Linux's"),
]

SLOW = """
import subprocess, time
subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM; sleep 300; true"])
with open(f"said-{n}", "w") as said:
    for line in range(25):
        print("line", line, flush=True)
        print(time.time(), file=said, flush=True)
        time.sleep(0.03)
"""
LEAVE = "open(output_dir + '/file', 'w').write(str(n))\nimport scrapbook"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with nothing_survives() as mark, project_in(tmp_path / "project", mark) as project:
        cells = [("n: int = 0\noutput_dir = 'x'", PARAMETERS), SLOW, LEAVE.partition("\n")[0]]
        write(project.root / "slow.ipynb", *cells)
        yield project


@contextlib.contextmanager
def runner(project: Project, count: int, point: str = "-") -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("runner_to_kill.py")
    argv = [sys.executable, "-m", "tests.runner.runner_to_kill", str(project.root), str(count), point]
    process = subprocess.Popen(
        argv, env=dict(project.environ), stdout=subprocess.PIPE, text=True, cwd=script.parents[2], bufsize=1
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def mark_of(project: Project) -> str:
    return project.environ[MARK]


def settle(project: Project) -> None:
    """Let keepers and closers do their work; whatever they could not do, recovery does after the lease."""
    left = [] if eventually(lambda: not marked(mark_of(project)), 90.0) else map(command_of, marked(mark_of(project)))
    assert not left, f"something of a killed runner's runs is left: {list(left)}"
    recover(project)


def recover(project: Project) -> list[RunId]:
    ledger = project.home.ledger
    for row in ledger.runs(RunQuery(running=True)):
        for fence in range(4):  # of whoever tried to close it last
            ledger.renew(row.run_id, lease_seconds=0.01, fence=fence)  # as if 30 s had passed
    time.sleep(0.05)
    return project.recover()


def check(project: Project) -> list[Run]:
    """Hold everything that may never be otherwise, whatever was killed when; return the runs."""
    home = project.home
    events = [stored.event for stored in home.ledger.events()]
    begun = Counter(event.run_id for event in events if isinstance(event, RunStarted))
    ended = Counter(event.run_id for event in events if isinstance(event, RunFinished))
    assert begun == ended, "every started run has exactly one verdict"
    assert set(begun.values()) <= {1}
    runs = []
    for row in home.ledger.runs(RunQuery()):
        assert row.record is not None
        run = project.run(str(row.run_id))  # the store hashes what it reads
        assert run.status == row.status
        for kept in objects_of(run.record):
            home.store.check(kept.digest)
        (signed,) = [event.attestation for event in events if isinstance(event, RunFinished) and event.run_id == run.id]
        assert signed is not None, "whoever closed it has signed it"
        assert from_lines(home.store.get(signed))[0].payload == home.store.get(row.record)
        nb: Any = nbformat.reads(home.store.get(run.record.notebook.digest).decode(), as_version=4)
        nbformat.validate(nb)
        if run.status != "succeeded":
            assert lies_of(nb) == [] or run.record.verdict.cells[-1].status == "ok"
        runs.append(run)
    for digest in home.store.digests():
        home.store.check(digest)
    return runs


def lines_of(run: Run) -> int:
    nb: Any = nbformat.read(run.notebook, as_version=4)
    text = "".join(o.get("text", "") for cell in nb.cells if cell.source == SLOW for o in cell.outputs)
    return text.count("line ")


def none_lost(said: list[str], ledger: Ledger) -> None:
    """Hold that what a runner was told is in the ledger: starts by their ids, endings with their status."""
    for run_id, *status in [line.split() for line in said if line.endswith("\n") and line != "all done\n"]:
        row = ledger.run(RunId(run_id))
        assert not status or status == [str(row.status)], f"{run_id} had ended as {status}"


def said_before(project: Project, number: int, moment: float) -> int:
    path = project.root / f"said-{number}"
    return sum(float(word) < moment for word in path.read_text().split()) if path.exists() else 0


def kill_at(project: Project, seconds: float, count: int, others: float | None = None) -> list[Run]:
    """Kill a runner of several staggered runs; each of them is somewhere else by then.

    Args:
        project: the project.
        seconds: from the first run's start to the kill.
        count: how many runs.
        others: seconds from then until all that closes the runs is killed, too; None: it is left to its work.
    """
    with runner(project, count) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(seconds)
        killed = time.time()
        process.kill()
        said += process.stdout.readlines()
        process.wait()
    if others is not None:
        time.sleep(others)
        for pid in marked(mark_of(project)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    settle(project)
    runs = check(project)
    none_lost(said, project.home.ledger)
    for run in runs:
        heard = said_before(project, run.parameters["n"], killed - 1.0)
        assert lines_of(run) >= heard, f"{run} lost what was said a second before the kill"
    return runs


@pytest.mark.parametrize("seconds", [0.0, random.Random(1).uniform(0.6, 1.2), random.Random(2).uniform(1.5, 3.0)])
def test_a_runner_killed_at_any_moment(project: Project, seconds: float) -> None:
    runs = kill_at(project, seconds, 4)
    assert runs
    assert {str(run.status) for run in runs} <= {"crashed", "succeeded"}
    if seconds < 1.0:  # later, a fast machine may be through with all of them
        assert "crashed" in {str(run.status) for run in runs}


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(kills_of("runner")))
def test_a_runner_killed_at_many_moments(project: Project, seed: int) -> None:
    dice = random.Random(seed)
    with counting("kill -9 of runners with six runs each, some with all that could close them", 1, seed=seed) as count:
        kill_at(project, dice.uniform(0.0, 5.0), 6, others=dice.uniform(0.0, 1.5) if seed % 2 else None)
        count.add("killed, and the rest, too" if seed % 2 else "killed")


POINTS = {
    "before start": None,
    "after start": "crashed",
    "conclude": "succeeded",
    "put 1": "succeeded",
    "put 2": "succeeded",
    "before finish": "succeeded",
    "after finish": "succeeded",
    "tidy": "succeeded",
}


def test_a_runner_killed_between_any_two_steps_of_its_own(project: Project) -> None:
    def kill(point: str) -> int:
        with runner(project, 1, point) as process:
            return process.wait(60)

    with ThreadPoolExecutor(3) as pool:
        codes = dict(zip(POINTS, pool.map(kill, POINTS), strict=True))
    assert codes == dict.fromkeys(POINTS, -signal.SIGKILL), "each process must reach its point"
    settle(project)
    check(project)
    found = {row.name: row.status for row in project.home.ledger.runs(RunQuery())}
    assert found == {f"{point} 0": status for point, status in POINTS.items() if status is not None}
    for row in project.home.ledger.runs(RunQuery()):
        run = project.run(str(row.run_id))
        if row.status == "succeeded":
            assert lines_of(run) == 25
            assert set(run.artifacts) == {"file"}


def parents(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if parents(int(entry.name)) == pid:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("how", ["supervise.py", "fork_server.py"])
@pytest.mark.parametrize("also", ["supervisor", "supervisor and keeper"])
def test_runner_and_supervisor_killed_together(project: Project, also: str, how: str) -> None:
    project.environ = {**project.environ, "NBPROD_WARM": str(how == "fork_server.py").lower()}
    with runner(project, 1) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        # A little ago: what was just said may be on its way to the journal yet, on a busy machine.
        assert eventually(lambda: said_before(project, 0, time.time() - 0.3) > 3, 30.0)
        (supervisor,) = [pid for pid in children(process.pid) if how in command_of(pid)]
        keepers = children(supervisor)
        doomed = [process.pid, supervisor, *(keepers if also.endswith("keeper") else [])]
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        process.wait()
    if also.endswith("keeper"):
        time.sleep(0.3)
        assert marked(mark_of(project)), "the control: the grandchild is there until recovery"
        assert project.recover() == [], "the lease has not lapsed: it may be alive as far as anybody knows"
        assert recover(project) == [RunId(run_id)]
        assert eventually(lambda: not marked(mark_of(project)), 5.0)
    else:
        settle(project)
    (run,) = check(project)
    assert run.status == "crashed"
    assert lines_of(run) >= 3
    assert [str(cell.status) for cell in run.record.verdict.cells] == ["ok", "ok", "interrupted", "not_run"]
    assert "output_dir" in run.parameters


def test_the_control_a_row_that_points_at_missing_bytes_is_found(project: Project) -> None:
    with runner(project, 1) as process:
        assert process.wait(60) == 0
    (run,) = check(project)
    (kept,) = (project.home.folder / "store").rglob(f"*{run.record.notebook.digest.hex[4:]}*")
    kept.unlink()
    with pytest.raises(nbprod.errors.NbprodError):
        check(project)
    none_lost([f"{run.id}\n", f"{run.id} succeeded\n"], project.home.ledger)
    other = RunId(str(run.id)[:-1] + ("1" if str(run.id).endswith("0") else "0"))
    for said in (f"{other}\n", f"{run.id} failed\n"):
        with pytest.raises((nbprod.errors.NotFound, AssertionError)):
            none_lost([said], project.home.ledger)
