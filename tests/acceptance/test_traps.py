"""The five traps that papermill walks into: whoever opens the executed notebook is told the truth."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbprod
from nbprod.errors import ParameterError
from nbprod.project import Project, Run
from tests.notebooks import lies_of, project_in, statuses, write
from tests.processes import nothing_survives

pytestmark = pytest.mark.kernel

FIRST, LAST = "print('before')", "print('never reached')"


@dataclass(frozen=True)
class Trap:
    source: str
    status: str
    reason: str
    cell: str
    papermill: str


TRAPS = {
    "exit of the process": Trap(
        "print('last words', flush=True)\nimport os, time\ntime.sleep(0.3)\nos._exit(1)",
        "kernel_died",
        "exited with status 1",
        "failed",
        "failed",
    ),
    "time-out": Trap(
        "print('last words', flush=True)\nimport time\ntime.sleep(60)",
        "timed_out",
        "cell 2 took longer than 1 s",
        "interrupted",
        "failed",
    ),
    "kill -9": Trap(
        "print('last words', flush=True)\nimport os, time\ntime.sleep(0.3)\nos.kill(os.getpid(), 9)",
        "kernel_died",
        "killed by SIGKILL",
        "failed",
        "failed",
    ),
    "sys.exit": Trap(
        "print('last words')\nimport sys\nsys.exit(0)", "exited_early", "cell 2 called sys.exit(0)", "failed", "failed"
    ),
    "exit": Trap("print('last words')\nexit()", "exited_early", "cell 2 called exit()", "ok", "completed"),
    "exception": Trap("print('last words')\n1 / 0", "failed", "cell 2 raised ZeroDivisionError", "failed", "failed"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with nothing_survives() as mark, project_in(tmp_path_factory.mktemp("traps"), mark) as project:
        yield project


@pytest.fixture(scope="module", params=TRAPS, ids=list(TRAPS))
def caught(request: pytest.FixtureRequest, project: Project) -> tuple[Trap, Run]:
    trap = TRAPS[request.param]
    path = write(project.root / f"{request.param}.ipynb", "# A title", FIRST, trap.source, "# Then", LAST)
    timeout = 1.0 if trap.status == "timed_out" else None
    return trap, nbprod.run(path, project=project, cell_timeout=timeout)


def read(run: Run) -> Any:
    nb = nbformat.read(run.notebook, as_version=4)
    nbformat.validate(nb)
    return nb


def test_the_verdict_says_how_it_ended(caught: tuple[Trap, Run]) -> None:
    trap, run = caught
    assert not run
    assert run.status == trap.status
    assert trap.reason in run.reason
    cells = run.record.verdict.cells
    assert [(outcome.cell, outcome.status) for outcome in cells] == [(1, "ok"), (2, trap.cell), (4, "not_run")]
    with pytest.raises(nbprod.errors.RunNotSuccessful, match=trap.status):
        run.raise_for_status()


def test_the_ledger_says_the_same(caught: tuple[Trap, Run], project: Project) -> None:
    _, run = caught
    row = project.home.ledger.run(run.id)
    assert (row.status, row.reason, row.notebook_digest) == (run.status, run.reason, run.record.notebook.digest)


def test_any_reader_of_papermills_metadata_is_told_the_truth(caught: tuple[Trap, Run]) -> None:
    trap, run = caught
    nb = read(run)
    assert lies_of(nb) == []
    assert statuses(nb) == ["completed", trap.papermill, "pending"]
    assert nb.metadata.papermill.exception is True
    assert [c.metadata.papermill.status for c in nb.cells if c.source in ("# A title", "# Then")] == [
        "completed",
        "pending",
    ]


def test_banner_and_anchor_stand_where_papermill_puts_them(caught: tuple[Trap, Run]) -> None:
    trap, run = caught
    nb = read(run)
    tagged = [n for n, cell in enumerate(nb.cells) if "papermill-error-cell-tag" in cell.metadata.get("tags", [])]
    assert tagged[0] == 1, "the record cell stands first"
    assert trap.status in nb.cells[tagged[0]].source
    if trap.cell != "ok":
        assert nb.cells[tagged[1] + 1].source == trap.source
        assert 'id="papermill-error-cell"' in nb.cells[tagged[1]].source


def test_our_own_metadata_says_more(caught: tuple[Trap, Run]) -> None:
    trap, run = caught
    about = read(run).metadata.nbprod
    assert (about.run, about.status, about.reason) == (str(run.id), trap.status, run.reason)
    assert about.cell == (None if trap.cell == "ok" else 2)


def test_what_was_printed_before_is_kept(caught: tuple[Trap, Run]) -> None:
    trap, run = caught
    cells = {cell.source: cell for cell in read(run).cells}
    assert cells[FIRST].outputs[0].text == "before\n"
    assert cells[trap.source].outputs[0].text.startswith("last words\n")
    assert cells[LAST].outputs == []


def test_an_unknown_parameter_is_refused_before_anything_is_kept(project: Project) -> None:
    path = write(project.root / "unknown.ipynb", ("alpha = 0.1", ["parameters"]), FIRST)
    before = sorted((project.home.folder / "runs").iterdir()), len(list(project.home.ledger.events()))
    with pytest.raises(ParameterError, match=r"alhpa.*did you mean.*alpha"):
        nbprod.run(path, {"alhpa": 1}, project=project)
    assert (sorted((project.home.folder / "runs").iterdir()), len(list(project.home.ledger.events()))) == before


@pytest.mark.parametrize("name", ["exit of the process", "sys.exit"])
def test_the_control_stock_papermill_lies(name: str, tmp_path: Path) -> None:
    """The same notebooks under papermill's own engine: if it told the truth, `lies_of` would prove nothing."""
    path = write(tmp_path / "in.ipynb", FIRST, TRAPS[name].source, LAST)
    command = [sys.executable, "-m", "papermill", str(path), str(tmp_path / "out.ipynb"), "--no-progress-bar"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    nb = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert lies_of(nb)
    if name == "sys.exit":
        assert done.returncode == 0


def test_the_control_stock_papermill_takes_any_parameter(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", ("alpha = 0.1", ["parameters"]), FIRST)
    out = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(path), str(out), "--prepare-only", "-p", "alhpa", "1"]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert "alhpa = 1" in out.read_text()
