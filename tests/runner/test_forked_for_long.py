"""Kernels by the hundred: nothing is left over, and whatever is killed, nothing survives and nothing lies."""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbprod.project import Project, RunOptions
from nbprod.project.checkpoint import make_checkpoint
from nbprod.project.verifying import Asked, Verifier
from tests.notebooks import project_in, write
from tests.processes import command_of, eventually, marked, nothing_survives
from tests.tally import counting, kills_of

from .test_kill import check, mark_of

pytestmark = pytest.mark.kernel

TALK = "import time\nfor n in range(20):\n    print('line', n)\n    time.sleep(0.01)"


@pytest.fixture
def forking(tmp_path: Path) -> Iterator[Project]:
    environ = {"NBPROD_WARM": "true", "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    with nothing_survives() as mark, project_in(tmp_path / "p", mark, "", environ) as project:
        yield project


def settled(project: Project) -> dict[str, int]:
    """Return what there is of descriptors, threads, processes and temporary files, once it has come to rest."""

    def now() -> dict[str, int]:
        return {
            "descriptors": len([*Path("/proc/self/fd").iterdir()]),
            "threads": threading.active_count(),
            "processes": len(marked(mark_of(project))),
            "temporary files": sum(1 for _ in Path(project.environ["TMPDIR"]).rglob("*")),
        }

    seen = [now()]
    for _ in range(40):
        time.sleep(0.25)
        seen.append(now())
        if len(seen) > 4 and seen[-1] == seen[-2] == seen[-3] == seen[-4]:
            break
    return seen[-1]


def server_bytes(project: Project) -> int:
    """Return what the largest of the servers and spares has for itself alone, in KiB."""
    sizes = [0]
    for pid in marked(mark_of(project)):
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            sizes.append(sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private")))
    return max(sizes)


def many(project: Project, count: int) -> None:
    step = project.step(write(project.root / "n.ipynb", ("n = 0", ["parameters"]), "n + 1"))
    for number in range(count):
        assert project.run_job(project.job(step, {"n": number}, RunOptions())).status == "succeeded"


def nothing_grows(project: Project, count: int) -> None:
    many(project, 20)
    before, size = settled(project), server_bytes(project)
    many(project, count)
    assert settled(project) == before
    assert server_bytes(project) < size + 4 * 1024, "KiB that are private to one process"


def test_runs_in_a_row_leave_nothing(forking: Project) -> None:
    nothing_grows(forking, 40)


@pytest.mark.torture
@pytest.mark.timeout(3500)
def test_a_thousand_runs_in_a_row_leave_nothing_and_are_verified(forking: Project) -> None:
    with counting("clean runs, each verified", 1000) as count:
        nothing_grows(forking, 1000)
        make_checkpoint(forking)
        verifier = Verifier(forking, Asked(seen=forking.root / "seen.json"))
        log, *runs = verifier.all()
        assert log
        for found in runs:
            assert found, found
            count.add("verified")
    last = forking.run(runs[-1].subject)
    (path,) = (forking.home.folder / "store" / "objects").rglob(last.record.notebook.digest.hex[2:])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    assert not verifier.run(last.id)  # the control


def victims(project: Project) -> list[int]:
    """Return servers, branches, keepers, kernels and spares; not what asks an interpreter what it is."""
    ours = ("fork_server.py", "supervise.py", "ipykernel_launcher")
    return sorted(pid for pid in marked(mark_of(project)) if any(word in command_of(pid) for word in ours))


def kill_while_running(project: Project, kills: int, seed: int, most: float = 0.5) -> None:
    """Kill server, branch, keeper, kernel or spare, whatever comes, while three runs are under way at any time.

    Args:
        project: the project.
        kills: how many.
        seed: of the dice.
        most: seconds between two kills.
    """
    chance = random.Random(seed)
    step = project.step(write(project.root / "talk.ipynb", ("n = 0", ["parameters"]), "import numpy", TALK))
    done = threading.Event()
    killed = 0

    def go(number: int) -> None:
        job = project.job(step, {"n": number}, RunOptions(start_timeout=20.0))
        while not done.is_set():
            project.run_job(job)

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(go, number) for number in range(3)]
        try:
            while killed < kills:
                time.sleep(chance.uniform(0.05, most))
                with contextlib.suppress(IndexError, ProcessLookupError):
                    os.kill(chance.choice(victims(project)), signal.SIGKILL)
                    killed += 1
        finally:
            done.set()
        for future in futures:
            future.result()
    project.close()
    assert eventually(lambda: not marked(mark_of(project)), 20.0)
    ended = [str(run.status) for run in check(project)]
    assert set(ended) <= {"succeeded", "kernel_died"}
    assert ended.count("succeeded") > 0
    assert ended.count("kernel_died") > 0
    for run in check(project):
        text = run.notebook.read_text()
        if run.status == "succeeded":
            assert "line 19" in text, f"{run} says that all ran, and lacks what was printed"


def test_whatever_is_killed_nothing_lies(forking: Project) -> None:
    kill_while_running(forking, 12, seed=1)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(7))
def test_whatever_is_killed_again_and_again_nothing_lies(forking: Project, seed: int) -> None:
    kills = math.ceil(kills_of("forked") / 7)
    with counting("kill -9 of servers, branches, keepers, kernels and spares", kills, seed=seed) as count:
        kill_while_running(forking, kills, seed)
        count.add("killed", kills)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(4))
def test_whatever_of_started_kernels_is_killed_nothing_lies(forking: Project, seed: int) -> None:
    forking.environ = {**forking.environ, "NBPROD_WARM": "false"}
    kills = math.ceil(kills_of("started") / 4)
    with counting("kill -9 of supervisors, keepers and kernels that are started anew", kills, seed=seed) as count:
        kill_while_running(forking, kills, seed, most=1.0)
        count.add("killed", kills)
