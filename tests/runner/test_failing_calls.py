"""Each call of a runner's by which something is kept fails once: nothing that is kept is wrong, every run has its end.

strace makes the Nth call of a kind fail; writes that are cut short come from a limit to files' sizes. Cells run in
processes of their own, whose calls are left alone.
"""

from __future__ import annotations

import functools
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from nbprod.ledger import RunQuery
from nbprod.project import Project
from nbprod.project.verifying import Asked, Verifier
from nbprod.record.ids import RunId
from nbprod.verify import Conclusion
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives
from tests.tally import Count, counting

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
}
CELLS = (
    ("n: int = 0\noutput_dir = 'x'", PARAMETERS),
    "import scrapbook as sb\nsb.glue('n', n)\nsb.glue('long', f'{n} ' * 100_000)",
    "open(output_dir + '/model.bin', 'w').write(str(n) * 100_000)",
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with nothing_survives() as mark, project_in(tmp_path / "project", mark, 'keys = "keys"\n') as project:
        write(project.root / "keep.ipynb", *CELLS)
        yield project


def traced(project: Project, number: int, *options: str) -> str:
    """Run the notebook by the command line, traced; return what strace saw."""
    log = project.root.parent / "log"
    command = ["strace", "-o", str(log), "-e", f"trace={','.join(ERRORS)}", *options]
    _run(project, number, command)
    return log.read_text(errors="replace")


def _run(project: Project, number: int, before: list[str], prepare: Callable[[], None] | None = None) -> None:
    command = [*before, sys.executable, "-m", "nbprod", "run", "keep.ipynb", "-p", "n", str(number)]
    environ = {**project.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        command, cwd=project.root, env=environ, capture_output=True, timeout=120, check=False, preexec_fn=prepare
    )


def judge(project: Project, known: set[RunId], count: Count, told: str) -> None:
    """Let what is left over be closed; then each run that began has an end, and is what is recorded."""
    settle(project)
    home = project.home
    rows = [row for row in home.ledger.runs(RunQuery()) if row.run_id not in known]
    assert len(rows) <= 1, told
    verifier = Verifier(project, Asked(seen=project.root.parent / "seen.json"))
    for row in rows:
        assert row.status is not None, told
        found = verifier.run(row.run_id)
        assert found.conclusion is Conclusion.VERIFIED, (told, found)
        known.add(row.run_id)
    count.add(str(rows[0].status) if rows else "refused before it began")


def whole(project: Project) -> None:
    check(project)
    found = list(Verifier(project, Asked(seen=project.root.parent / "seen.json")).all())
    assert all(found), [each for each in found if not each]
    for digest in project.home.store.digests():
        project.home.store.check(digest)


def calls(project: Project) -> dict[str, int]:
    """Count the calls of a run in which all goes well."""
    traced(project, 0)  # makes what is made once: keys, ledger, folders
    log = traced(project, 1)
    return {name: len(re.findall(rf"^{name}\(", log, re.MULTILINE)) for name in ERRORS}


def test_a_failing_call_is_no_lie(project: Project) -> None:
    with counting("failing calls of a runner, one of them", 1) as count:
        log = traced(project, 1, "-e", "inject=fsync:error=EIO:when=20")
        assert "(INJECTED)" in log  # the control
        judge(project, set(), count, "fsync 20")
    whole(project)


@pytest.mark.torture
@pytest.mark.timeout(3500)
@pytest.mark.parametrize("name", list(ERRORS))
def test_each_call_that_fails_in_its_turn(project: Project, name: str) -> None:
    most = calls(project)[name]
    assert most > 0
    known = {row.run_id for row in project.home.ledger.runs(RunQuery())}
    wanted = most * len(ERRORS[name])
    injected = 0
    with counting(f"failing {name} of a runner: each in turn, by {' and '.join(ERRORS[name])}", wanted) as count:
        for error in ERRORS[name]:
            for number in range(1, most + 1):
                log = traced(project, number, "-e", f"inject={name}:error={error}:when={number}")
                injected += "(INJECTED)" in log
                judge(project, known, count, f"{name} {number} {error}")
        count.add("whose call did not come", 0)
    assert injected > wanted * 0.9, "the control: the calls did fail"
    whole(project)


@pytest.mark.torture
@pytest.mark.timeout(3500)
def test_writes_that_are_cut_short(project: Project) -> None:
    """A limit to the size of files: a write takes what fits, the next one fails. It holds for the kernels, too."""
    _run(project, 0, [])
    known = {row.run_id for row in project.home.ledger.runs(RunQuery())}
    dice = random.Random(1)
    times = int(os.environ.get("TORTURE_SHORT_WRITES", "100"))
    with counting("runs whose writes are cut short at any size", times, seed=1) as count:
        for number in range(times):
            limit = int(2 ** dice.uniform(6, 20))
            _run(project, number, [], lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))  # type: ignore[misc]
            judge(project, known, count, f"limit {limit}")
    whole(project)
