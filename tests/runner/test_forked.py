"""Kernels that are forks: each a process of its own, as good as one that was started, and true when things go wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbprod
from nbprod.execution import head_start, standing
from nbprod.execution.events import CellStarted, Event
from nbprod.kernels import warm_spec
from nbprod.project import Project, Run
from nbprod.record.launch import Launch
from tests.notebooks import project_in, write
from tests.processes import command_of, eventually, marked, nothing_survives

from .test_endings import how, read, text_of
from .test_kill import mark_of

pytestmark = pytest.mark.kernel

SETTINGS = "[tool.nbprod.steps.secretive]\nnotebook = 'secretive.ipynb'\nsecrets = ['NBPROD_TEST_TOKEN']"


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    environ = {"NBPROD_WARM": "true", "NBPROD_TEST_TOKEN": "hunter2-forked"}
    with nothing_survives() as mark, project_in(tmp_path_factory.mktemp("forking"), mark, SETTINGS, environ) as project:
        yield project


def run(project: Project, name: str, *cells: Any, **options: Any) -> Run:
    return nbprod.run(write(project.root / f"{name}.ipynb", *cells), project=project, **options)


def said(run: Run, source: str) -> str:
    return text_of(read(run), source)


def servers(project: Project) -> set[int]:
    return {pid for pid in marked(mark_of(project)) if "fork_server.py" in command_of(pid)}


# --- apart from each other ------------------------------------------------------------------------

LEAVE = """
import os, sys, random, numpy
numpy.left_behind = os.environ['LEFT'] = secret = 'left'
numpy.random.seed(1); random.seed(1); os.chdir('/'); sys.path.append('/left')
"""
LOOK = """
import os, sys, json, numpy
print(json.dumps([hasattr(numpy, 'left_behind'), 'LEFT' in os.environ, 'secret' in globals(),
                  '/left' in sys.path, os.getcwd(), threads]))
"""
THREADS = "import threading\nthreads = sorted(each.name.split('-')[0] for each in threading.enumerate())"
DRAW = "import random, uuid, numpy\nprint(random.random(), numpy.random.rand(), numpy.random.RandomState().rand())"


def test_a_run_leaves_nothing_to_the_next(forking: Project) -> None:
    for _ in range(3):
        assert run(forking, "leave", LEAVE)
        looked = json.loads(said(run(forking, "look", THREADS, LOOK), LOOK))
        assert looked[:5] == [False, False, False, False, str(forking.root)]


def test_each_run_draws_random_numbers_of_its_own(forking: Project) -> None:
    drawn = [said(run(forking, "draw", DRAW), DRAW).split() for _ in range(4)]
    assert len({number for numbers in drawn for number in numbers}) == 12


def test_the_record_says_how_the_kernel_came_into_being(forking: Project) -> None:
    done = run(forking, "how", "import numpy.linalg, os\nfrom pandas import DataFrame")
    launch = done.record.launch
    assert launch is not None
    assert launch.to_json() == {"how": "forked", "preloaded": ["numpy.linalg", "pandas"]}, (
        "modules, and no names in them"
    )


def test_only_the_kernel_has_the_secret(tmp_path: Path) -> None:
    cell = "import os\nprint(os.environ['NBPROD_TEST_TOKEN'] == 'hunter' + '2-forked')"
    environ = {"NBPROD_WARM": "true", "NBPROD_TEST_TOKEN": "hunter2-forked"}
    with nothing_survives() as mark, project_in(tmp_path, mark, SETTINGS, environ) as project:
        assert "True" in said(run(project, "secretive", cell), cell)
        having = servers(project)
        assert having
        for pid in having:
            assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_kernel_is_found_by_its_run(forking: Project) -> None:
    cell = "import os\nprint([each for each in open('/proc/self/environ').read().split(chr(0)) if 'RUN_ID' in each])"
    done = run(forking, "mark", cell)
    assert f"['NBPROD_RUN_ID={done.id}']" in said(done, cell)


# --- as good as others: each of these runs with both kinds of kernel ------------------------------

OPEN = """
kept = open(output_dir + '/left open.txt', 'w')
kept.write('all of it')
class Late:
    def __del__(self): print('deleted')
late = Late()
"""
CHILDREN = """
import os, sys, subprocess, multiprocessing, time
from IPython.display import display
def work(n):
    print(f'child-{n}'); sys.stdout.flush()
    display(n * 111)
    return n
with multiprocessing.get_context('fork').Pool(2) as pool:
    print(pool.map(work, range(4)))
os.system('echo shell'); os.write(1, b'raw\\n'); subprocess.run(['echo', 'sub'])
time.sleep(0.3)
"""
FAREWELL = """
import atexit, threading, time
atexit.register(print, 'at exit')
threading.Thread(target=lambda: (time.sleep(0.3), print('from a thread'))).start()
"""
ASYNC = """
import asyncio
async def tick():
    await asyncio.sleep(0.05)
    return 'ticked'
task = asyncio.create_task(tick())
"""
AWAITED = "print(await task, asyncio.get_running_loop().is_running())"


def test_what_is_written_is_there(project: Project) -> None:
    done = run(project, "open", ("output_dir = ''", ["parameters"]), OPEN)
    assert done.artifacts["left open.txt"].path().read_bytes() == b"all of it"
    assert "deleted" in str(read(done))


def test_what_children_put_out(project: Project) -> None:
    text = str(read(run(project, "children", CHILDREN)).cells[-1].outputs)
    for wanted in ("child-0", "child-3", "[0, 1, 2, 3]", "shell", "raw", "sub", "'333'"):
        assert wanted in text


def test_the_last_words(project: Project) -> None:
    text = str(read(run(project, "farewell", FAREWELL)).cells[-1].outputs)
    assert "at exit" in text
    assert "from a thread" in text


def test_the_loop_runs(project: Project) -> None:
    assert "ticked True" in said(run(project, "loop", ASYNC, AWAITED), AWAITED)


def test_cells_print_quickly(project: Project) -> None:
    cell = "import sys\nprint('QuickTee' in repr(sys.stdout.write))"
    assert "True" in said(run(project, "quick", cell), cell)


def test_an_async_cell_is_interrupted(project: Project) -> None:
    done = run(project, "late", "import asyncio\nawait asyncio.sleep(60)", "1", cell_timeout=1.0)
    assert done.status == "timed_out"
    assert how(done) == ["interrupted", "not_run"]


def test_questions_are_refused(project: Project) -> None:
    done = run(project, "question", "input('name? ')")
    assert done.status == "failed"
    assert "StdinNotImplementedError" in done.reason


def test_a_broken_pipe_is_an_exception(project: Project) -> None:
    done = run(project, "pipe", "import os\nreader, writer = os.pipe()\nos.close(reader)\nos.write(writer, b'x')")
    assert done.status == "failed"
    assert "BrokenPipeError" in done.reason


def test_what_a_library_sets_in_the_environment_is_set(project: Project) -> None:
    names = ("KMP_INIT_AT_FORK", "MPLBACKEND", "PYDEVD_USE_FRAME_EVAL")
    cell = f"import os, sklearn\nprint(*map(os.environ.get, {names}))"
    for _ in range(4 if project.environ["NBPROD_WARM"] == "true" else 1):  # the last ones are in spares
        printed = said(run(project, "sets", cell), cell)
        assert printed == "FALSE module://matplotlib_inline.backend_inline NO\n"


# --- when things go wrong -------------------------------------------------------------------------


def test_a_server_that_is_killed_is_replaced(forking: Project) -> None:
    run(forking, "before", "1")
    for pid in servers(forking):
        with contextlib.suppress(ProcessLookupError):  # a spare kernel ends with its keeper
            os.kill(pid, signal.SIGKILL)
    done = run(forking, "after", "print(1 + 1)")
    assert done.status == "succeeded"
    assert run(forking, "after that", "1").record.launch == Launch(how="forked")


@pytest.mark.parametrize(("cell", "status"), [("time.sleep(1)", "succeeded"), ("os._exit(3)", "kernel_died")])
def test_a_server_that_is_killed_takes_no_run_along(forking: Project, cell: str, status: str) -> None:
    killed: list[int] = []

    def kill(event: Event) -> None:
        if isinstance(event, CellStarted) and event.cell == 1:
            killed.extend(pid for pid in servers(forking) if is_server(pid))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    done = run(forking, "alone", "import os, time\ntime.sleep(0.3)", f"time.sleep(0.5)\n{cell}", listener=kill)
    assert killed
    assert done.status == status
    assert status == "succeeded" or "exited with status 3" in done.reason
    assert eventually(lambda: not any(map(is_alive, killed)))


def is_server(pid: int) -> bool:
    """Return whether a process is a server and no keeper or kernel: all of them show the same command."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return os.getsid(pid) == pid and bool(children)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("script", ["raise SystemExit(1)", "import time; time.sleep(60)"])
def test_without_a_server_a_kernel_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "broken.py").write_text(script)
    monkeypatch.setattr(head_start, "_SCRIPT", tmp_path / "broken.py")
    with nothing_survives() as mark, project_in(tmp_path / "p", mark, "", {"NBPROD_WARM": "true"}) as project:
        done = run(project, "cold", "print('all the same')", start_timeout=3.0)
        assert done.status == "succeeded"
        launch = done.record.launch
        assert launch is not None
        assert launch.how == "started"
        assert "fork server" in launch.why


def test_a_kernel_of_another_kind_is_started(forking: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels" / "wrapped"
    folder.mkdir(parents=True)
    argv = ["python", "-c", "from ipykernel.kernelapp import main; main()", "-f", "{connection_file}", "ipykernel"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "w", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    done = nbprod.run(write(forking.root / "wrapped.ipynb", "1", kernel="wrapped"), project=forking)
    assert done.status == "succeeded"
    launch = done.record.launch
    assert launch is not None
    assert launch.how == "started"
    assert "in a way of its own" in launch.why


def test_the_settings_say_whether(tmp_path: Path) -> None:
    settings = "[tool.nbprod.kernels]\nwarm = false"
    with nothing_survives() as mark, project_in(tmp_path / "off", mark, settings) as project:
        launch = run(project, "off", "1").record.launch
        assert launch == Launch(how="started")
        assert not servers(project)
    with nothing_survives() as mark, project_in(tmp_path / "on", mark) as project:
        assert run(project, "on", "1").record.launch == Launch(how="forked")


def test_a_spec_for_jupyter_clients_is_as_good_as_python3(
    forking: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_spec.install("warmed", display_name="w", prefix=tmp_path)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    done = nbprod.run(write(forking.root / "warmed.ipynb", "1", kernel="warmed"), project=forking)
    assert done.record.launch == Launch(how="forked")
    assert done.record.request.kernel == "warmed"
    assert done.record.request.environment == run(forking, "ordinary", "1").record.request.environment


@pytest.mark.skipif(not os.access("/dev", os.W_OK), reason="needs to make a file in /dev")
def test_a_process_that_has_opened_a_gpu_is_never_forked(tmp_path: Path) -> None:
    device = Path("/dev/nvidia-made-by-a-test-of-nbprod")
    device.write_text("")
    (tmp_path / "gpu.py").write_text(f"handle = open({str(device)!r})\n")
    settings, environ = "[tool.nbprod.kernels]\npreload = ['gpu']", {"PYTHONPATH": str(tmp_path)}
    try:
        with nothing_survives() as mark, project_in(tmp_path / "p", mark, settings, environ) as project:
            launches = [run(project, "gpu", "import gpu\nprint(gpu.handle)").record.launch for _ in range(3)]
    finally:
        device.unlink()
    assert [launch and (launch.how, launch.preloaded) for launch in launches] == [
        ("started", ()),
        ("started", ()),
        ("forked", ()),  # what fails twice is not asked for again
    ]


def test_a_server_that_stands_serves_what_it_was_started_for(tmp_path: Path) -> None:
    cell = "import numpy\nprint(numpy.__name__)"
    with (
        tempfile.TemporaryDirectory(prefix="nbp-", dir="/tmp") as short,  # a socket's path has 107 bytes
        nothing_survives() as mark,
        project_in(tmp_path / "p", mark, "", {"NBPROD_WARM": "true", "XDG_RUNTIME_DIR": short}) as project,
    ):
        write(project.root / "stands.ipynb", cell)

        def warm(*words: str) -> None:
            command = [sys.executable, "-m", "nbprod", "warm", *words]
            subprocess.run(command, cwd=project.root, env=dict(project.environ), check=True, timeout=60)

        warm("start", "stands.ipynb")
        try:
            for _ in range(3):
                assert run(project, "stands", cell).record.launch == Launch(how="forked", preloaded=("numpy",))
            (server,) = standing.standing(project.environ)
            assert (server.served, server.branches) == (3, (("numpy",),))
        finally:
            warm("stop")
        assert not [*standing.standing(project.environ)]
