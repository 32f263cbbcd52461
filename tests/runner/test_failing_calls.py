"""Each call of a runner's by which something is kept fails once: nothing that is kept is wrong, every run has its end.

strace makes the Nth call of a kind fail, in the thread in which a runner keeps things; writes that are cut short come
from a limit to files' sizes. Cells run in processes of their own, whose calls are left alone. A file system in memory
is used where there is one: calls are made to fail all the same, and no disk is waited for.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from nbprod.errors import IntegrityError
from nbprod.ledger import RunQuery
from nbprod.project import Project
from nbprod.project.verifying import Asked, Verifier
from nbprod.record.ids import RunId
from nbprod.verify import Conclusion
from tests.house import ROOT
from tests.memory import folder_in_memory
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import MARK, nothing_survives
from tests.tally import counting

from .test_kill import check, settle


@functools.cache
def can_trace() -> bool:
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "true"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not can_trace(), reason="strace is not installed (Debian: strace), or may not trace here"),
]
ERRORS: Mapping[str, tuple[str, ...]] = {
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO", "ENOSPC"),
    "write": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC", "EIO"),
    "rename": ("EIO", "ENOSPC"),
    "mkdir": ("ENOSPC",),
    "ftruncate": ("EIO",),
    "unlink": ("EIO",),
    "fchmod": ("EIO",),
    "flock": ("ENOLCK",),
    "openat": ("EMFILE",),
    "read": ("EIO",),
    "pread64": ("EIO",),
}
SCRAPS = """
from IPython.display import display
def glue(name, data):
    about = {"scrapbook": {"name": name, "data": True, "display": False}}
    scrap = {"name": name, "data": data, "encoder": "json", "version": 1}
    display({"application/scrapbook.scrap.json+json": scrap}, raw=True, metadata=about)
glue("n", n)
glue("long", f"{n} " * 100_000)
"""
"""As scrapbook puts them out, whose import takes longer than all the rest of the run."""
CELLS = (
    ("n: int = 0\noutput_dir = 'x'", PARAMETERS),
    SCRAPS,
    "open(output_dir + '/model.bin', 'w').write(str(n) * 100_000)",
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with (
        folder_in_memory(tmp_path) as folder,
        nothing_survives() as mark,
        project_in(folder / "project", mark, 'keys = "keys"\n') as project,
    ):
        write(project.root / "keep.ipynb", *CELLS)
        yield project


Prepare = Callable[[int], None]
Aside = tuple[str, int, str]
"""A function of `os`, which of its calls in threads fails (0: none), and where their number is to be told."""


class Run(Protocol):
    """Runs the notebook with a number, traced by these options, its process prepared: exit code, what strace saw."""

    def __call__(self, number: int, options: list[str], prepare: Prepare, aside: Aside | None) -> tuple[int, str]: ...


@contextmanager
def runners(project: Project) -> Iterator[Run]:
    """Run by the command line, in forks of a process that has imported what it needs."""
    log = project.root.parent / "log"
    command = [sys.executable, "-m", "tests.runner.failing_runner", str(project.root)]
    # The mark is for what the runners start: the process they are forked from stays.
    environ = {name: text for name, text in project.environ.items() if name != MARK}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run(number: int, options: list[str], prepare: Prepare, aside: Aside | None) -> tuple[int, str]:
            words = ["run", "keep.ipynb", "-p", "n", str(number)]
            what = {"words": words, "environ": {MARK: project.environ[MARK]}, "aside": aside}
            stdin.write(json.dumps(what) + "\n")
            pid = int(stdout.readline())
            prepare(pid)
            strace = ["strace", "-y", "-o", str(log), "-e", f"trace={','.join(ERRORS)}", *options, "-p", str(pid)]
            with subprocess.Popen(strace, stderr=subprocess.PIPE, text=True) as tracer:
                assert tracer.stderr is not None
                assert "attached" in tracer.stderr.readline()
                stdin.write("go\n")
                code = int(stdout.readline())
            return code, log.read_text(errors="replace")

        try:
            yield run
        finally:
            stdin.close()


class Case:
    """A project whose runners meet faults, one each.

    Args:
        project: the project.
        run: runs its notebook once, traced.
    """

    def __init__(self, project: Project, run: Run) -> None:
        self.project, self._run, self._number = project, run, 0
        self._seen = project.root.parent / "seen.json"
        self.known: set[RunId] = set()

    def run(self, *options: str, prepare: Prepare = lambda _: None, aside: Aside | None = None) -> tuple[int, str]:
        self._number += 1
        return self._run(self._number, list(options), prepare, aside)

    def calls(self) -> dict[str, int]:
        """Count the calls of a run in which all goes well: the fewer of two, as SQLite's vary with its log's length."""
        logs = []
        for _ in range(3):  # the first one makes what is made once: keys, ledger, folders
            code, log = self.run()
            assert self.judge(code, "no fault") == "succeeded"
            logs.append(log)
        return {name: min(len(re.findall(rf"^{name}\(", log, re.MULTILINE)) for log in logs[1:]) for name in ERRORS}

    def judge(self, code: int, told: str) -> str:
        """Let what is left over be closed; return the end of the run, which is what is recorded."""
        settle(self.project)
        ledger = self.project.home.ledger
        rows = [row for row in ledger.runs(RunQuery()) if row.run_id not in self.known]
        assert len(rows) <= 1, told
        verifier = Verifier(self.project, Asked(seen=self._seen))
        for row in rows:
            assert row.status is not None, told
            found = verifier.run(row.run_id)
            assert found.conclusion is Conclusion.VERIFIED, (told, found)
            self.known.add(row.run_id)
        end = str(rows[0].status) if rows else "refused before it began"
        ledger.close()  # each runner shall be alone with it: SQLite does more where nobody else has it open
        if code == 0:
            assert end == "succeeded", f"{told}: the command said that all went well, and it is {end}"
        return end

    def whole(self) -> None:
        """Hold what may never be otherwise, of all runs and all that is kept."""
        check(self.project)
        found = list(Verifier(self.project, Asked(seen=self._seen)).all())
        assert all(found), [each for each in found if not each]
        for digest in self.project.home.store.digests():
            self.project.home.store.check(digest)


@pytest.fixture
def case(project: Project) -> Iterator[Case]:
    with runners(project) as run:
        yield Case(project, run)


def test_a_failing_call_is_no_lie(case: Case) -> None:
    with counting("failing calls of a runner, one of them", 1) as count:
        code, log = case.run("-e", "inject=fsync:error=EIO:when=20")
        assert "(INJECTED)" in log
        count.add(case.judge(code, "fsync 20"))
    case.whole()
    code, log = case.run()
    assert case.judge(code, "no fault") == "succeeded"
    # The control: bytes that the system takes and does not keep. No program can know; but whoever verifies finds it.
    writes = [line for line in log.splitlines() if line.startswith("write(")]
    at = max(number for number, line in enumerate(writes, 1) if "/store/tmp/" in line)
    code, log = case.run("-e", f"inject=write:retval=10:when={at}")
    assert "(INJECTED)" in log
    with pytest.raises((AssertionError, IntegrityError)):
        case.judge(code, "a lie")


@pytest.mark.torture
@pytest.mark.timeout(3500)
@pytest.mark.parametrize("name", list(ERRORS))
def test_each_call_that_fails_in_its_turn(case: Case, name: str) -> None:
    """Until there is none left that could: the last number is one that no call has any more."""
    least = case.calls()[name]
    assert least > 0
    errors = ERRORS[name]
    wanted = least * len(errors)
    with counting(f"failing {name} of a runner: each in turn, by {' and '.join(errors)}", wanted) as count:
        for error in errors:
            number, injected = 0, True
            while injected or number < least:
                number += 1
                code, log = case.run("-e", f"inject={name}:error={error}:when={number}")
                injected = "(INJECTED)" in log
                end = case.judge(code, f"{name} {number} {error}")
                if injected:
                    count.add(end)
                    assert code or name != "fsync", f"fsync {number} {error}: what is not on the disk is not done"
                else:
                    assert end == "succeeded"
    case.whole()


LARGE = ("glue('large', f'{n} ' * 1_000_000)", "open(output_dir + '/model.bin', 'w').write(str(n) * 3_000_000)")


READS = "import pathlib\nlen([path.read_bytes() for path in sorted(pathlib.Path('data').iterdir())])"


@pytest.mark.torture
@pytest.mark.timeout(3500)
@pytest.mark.parametrize("name", ["fsync", "open", "write", "read", "fchmod", "unlink"])
def test_each_call_that_fails_in_its_turn_in_threads(case: Case, name: str) -> None:
    """Large copies and journals, and many inputs, are kept by threads beside the runner's own."""
    write(case.project.root / "keep.ipynb", *CELLS[:2], *LARGE, READS)
    data, told = case.project.root / "data", case.project.root.parent / "told"
    data.mkdir()

    def calls(fails: int) -> tuple[int, str]:
        for number in range(10):
            (data / f"{number}.bin").write_bytes(random.randbytes(1000))
        code, _ = case.run(aside=(name, fails, str(told)))
        made, end = int(told.read_text()), case.judge(code, f"os.{name} {fails} in a thread")
        assert code or not 0 < fails <= made or name in ("open", "read"), "what is not on the disk is not done"
        return made, end

    calls(0)
    wanted, end = calls(0)
    assert end == "succeeded"
    with counting(f"failing os.{name} in a runner's threads: each in turn, by EIO", wanted) as count:
        for number in itertools.count(1):
            made, end = calls(number)
            if made < number:
                assert end == "succeeded"
                break
            count.add(end)
    case.whole()


@pytest.mark.torture
@pytest.mark.timeout(3500)
def test_writes_that_are_cut_short(case: Case) -> None:
    """A limit to the size of files: a write takes what fits, the next one fails. It holds for the kernels, too.

    It lies somewhere between the size that the ledger has and that of the largest file of a run. The project is as it
    was before each: a ledger that grows would leave no room for its next run's start.
    """
    write(case.project.root / "keep.ipynb", *CELLS[:2], *LARGE)
    case.calls()
    home = case.project.home.folder
    before = shutil.copytree(home, home.with_name("before"))
    sizes = [path.stat().st_size for path in before.rglob("*") if path.is_file()]
    least = max(path.stat().st_size for path in before.glob("ledger.db*"))
    assert least < max(sizes) / 4
    dice = random.Random(1)
    times = int(os.environ.get("TORTURE_SHORT_WRITES", "100"))
    known = set(case.known)
    with counting("runs whose writes are cut short at any size", times, seed=1) as count:
        for _ in range(times):
            shutil.rmtree(home)
            shutil.copytree(before, home)
            case.known = set(known)
            limit = int(least * (3 * max(sizes) / least) ** dice.uniform(-0.1, 1.0))
            code, _ = case.run(prepare=lambda pid, limit=limit: _limit(pid, limit))  # type: ignore[misc]
            count.add(case.judge(code, f"limit {limit}"))
            case.whole()
            case.project.home.ledger.close()
    assert count.came.get("refused before it began", 0) < times / 2, "most runs get somewhere"
    assert len(count.came) > 1, "the control: not all meet it alike"


def _limit(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
