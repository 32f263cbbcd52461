"""What an attack on forked kernels found: each of these was otherwise than in a kernel that was started."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from nbprod.kernels.imports import preloads
from nbprod.project import Project
from tests.notebooks import project_in
from tests.processes import nothing_survives

from .test_forked import forking, run, said

pytestmark = [pytest.mark.kernel, pytest.mark.xdist_group("forked as started")]

__all__ = ["forking"]

FILES = """
import os, numpy
for number in os.listdir('/proc/self/fd'):
    try: print(os.readlink(f'/proc/self/fd/{number}'))
    except OSError: pass
"""
SECRETS = "[tool.nbprod.steps.a]\nnotebook = 'a.ipynb'\nsecrets = ['NBPROD_TEST_TOKEN']"


def test_a_branch_keeps_nothing_of_the_run_that_made_it(tmp_path: Path) -> None:
    environ = {"NBPROD_WARM": "true", "NBPROD_TEST_TOKEN": "hunter2-branch"}
    with nothing_survives() as mark, project_in(tmp_path, mark, SECRETS, environ) as project:
        run(project, "a", "import numpy")
        for _ in range(4):
            assert "memfd" not in said(run(project, "b", FILES), FILES)
        assert run(project, "a", "import numpy").status == "succeeded"


def test_a_keeper_that_is_killed_in_a_branchs_first_run_is_noticed(tmp_path: Path) -> None:
    with nothing_survives() as mark, project_in(tmp_path, mark, "", {"NBPROD_WARM": "true"}) as project:
        done = run(project, "kill", "import numpy, os, time\nos.kill(os.getppid(), 9)\ntime.sleep(30)")
    assert done.status == "kernel_died"


def test_multiprocessing_is_this_runs_own(forking: Project) -> None:
    (forking.root / "beside.py").write_text("def work(n):\n    return n + 1\n")
    imports = "import joblib, sklearn, beside\nimport multiprocessing as mp"
    spawn = "with mp.get_context('spawn').Pool(1) as pool:\n    print(pool.map(beside.work, [1, 2]))"
    key = "print(bytes(mp.current_process().authkey).hex())"
    keys = set()
    for _ in range(3):
        done = run(forking, "spawn", imports, spawn, key)
        assert "[2, 3]" in said(done, spawn)
        keys.add(said(done, key))
    assert len(keys) == 3


def test_a_module_of_the_folders_own_is_imported(tmp_path: Path) -> None:
    with nothing_survives() as mark, project_in(tmp_path, mark, "", {"NBPROD_WARM": "true"}) as project:
        run(project, "before", "import joblib")
        (tmp_path / "joblib.py").write_text("mine = 'the local one'")
        cell = "import joblib\nprint(joblib.mine)"
        done = run(project, "shadow", cell)
        assert "the local one" in said(done, cell)
        assert done.record.launch is not None
        assert "has a module joblib of its own" in done.record.launch.why
        assert run(project, "bare", "1").record.launch is not None


def test_a_relative_path_is_relative_to_the_notebook(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "inner.py").write_text("x = 1")
    environ = {"NBPROD_WARM": "true", "PYTHONPATH": "src"}
    with nothing_survives() as mark, project_in(tmp_path, mark, "", environ) as project:
        assert run(project, "relative", "import inner").status == "succeeded"


def test_an_edited_package_is_imported_anew(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    settings, environ = "[tool.nbprod.kernels]\npreload = ['mylib']", {"PYTHONPATH": str(tmp_path / "lib")}
    cell = "import mylib\nprint('version', mylib.version)"
    with nothing_survives() as mark, project_in(tmp_path, mark, settings, environ) as project:
        for number in range(3):
            (tmp_path / "lib" / "mylib.py").write_text(f"version = {number}{' ' * number}")
            assert f"version {number}" in said(run(project, "edited", cell), cell)


@pytest.mark.parametrize(
    ("cells", "loaded"),
    [
        (["import os\nimport numpy", "import pandas"], ("numpy", "pandas")),
        (["import os\nos.environ['A'] = '1'\nimport numpy"], ()),
        (["import numpy", "%env A=1", "import pandas"], ("numpy",)),
        (["import numpy\n!pip install pandas\nimport pandas"], ()),
        (["import numpy", "import sys\nsys.path.insert(0, 'x')\nimport pandas"], ("numpy",)),
        (["import warnings\nwarnings.simplefilter('error')\nimport pandas"], ()),
        (["%matplotlib inline\nimport numpy", "path = 'x'\nimport pandas"], ("numpy", "pandas")),
        (["%%time\nimport numpy", "import pandas"], ()),
    ],
)
def test_only_what_nothing_comes_before_is_preloaded(cells: list[str], loaded: tuple[str, ...]) -> None:
    assert preloads(cells) == loaded


def test_a_large_cell_goes_in_while_much_comes_out(forking: Project) -> None:
    busy = """
import asyncio
async def talk():
    for _ in range(300):
        print('y' * 20_000, flush=True)
        await asyncio.sleep(0)
task = asyncio.create_task(talk())
"""
    large = f"text = {'x' * 2_000_000!r}\nprint(len(text))"
    done = run(forking, "large", busy, large, timeout=30.0)
    assert done.status == "succeeded"


def test_a_handler_that_raises_tears_no_message(forking: Project) -> None:
    cell = """
import signal
from IPython.display import display
class Alarm(Exception): pass
def ring(*_): raise Alarm
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
rung = 0
for n in range(60):
    try:
        display({'text/plain': 'z' * 1_000_000}, raw=True)
    except Alarm:
        rung += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print('rung', rung)
"""
    done = run(forking, "alarm", cell)  # a torn message could not be read, and the run not be told of
    assert done.status == "succeeded" or "Alarm" in done.reason, "it may go off outside of the try"


def test_what_no_message_can_hold_does_not_end_the_cell(forking: Project) -> None:
    assert run(forking, "surrogate", r"print('\ud800')", "print(1)").status == "succeeded"


WRITES = """
import ctypes, gzip, os, holder
holder.kept = gzip.open(output_dir / 'all.gz', 'wt')
holder.kept.write('all of it')
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(os.fsencode(output_dir / 'c.txt'), b'w')
libc.fputs(b'hello', ctypes.c_void_p(file))
"""


def test_what_a_module_holds_is_finished(project: Project) -> None:
    (project.root / "holder.py").write_text("kept = None")
    declared = ("from pathlib import Path\noutput_dir: Path = Path('x')", ["parameters"])
    done = run(project, "holds", declared, WRITES)
    assert done.status == "succeeded"
    assert gzip.decompress(done.artifacts["all.gz"].path().read_bytes()) == b"all of it"
    assert done.artifacts["c.txt"].path().read_text() == "hello"


def test_a_server_of_other_rights_is_not_asked(tmp_path: Path) -> None:
    cell = "import os\nprint(oct(os.umask(0o22)))"
    with nothing_survives() as mark, project_in(tmp_path, mark, "", {"NBPROD_WARM": "true"}) as project:
        before = os.umask(0o22)
        try:
            assert "0o22" in said(run(project, "mask", cell), cell)
            os.umask(0o77)
            assert "0o77" in said(run(project, "mask", cell), cell)
        finally:
            os.umask(before)
