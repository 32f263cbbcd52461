"""`papermill in out --engine nbprod`: the truth for tools that know nothing but papermill."""

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

from nbprod.ledger import RunQuery
from nbprod.project import Project
from tests.notebooks import PARAMETERS, lies_of, project_in, statuses, write
from tests.processes import MARK, nothing_survives

pytestmark = pytest.mark.kernel

FIRST, LAST = ("alpha: float = 0.1", PARAMETERS), "print('never reached')"
TRAPS = {
    "exit": ("print('last words', flush=True)\nimport os, time\ntime.sleep(0.3)\nos._exit(1)", "kernel_died"),
    "timeout": ("print('last words', flush=True)\nimport time\ntime.sleep(60)", "timed_out"),
    "killed": (
        "print('last words', flush=True)\nimport os, time\ntime.sleep(0.3)\nos.kill(os.getpid(), 9)",
        "kernel_died",
    ),
    "sysexit": ("print('last words')\nimport sys\nsys.exit(0)", "exited_early"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with nothing_survives() as mark, project_in(tmp_path_factory.mktemp("road"), mark) as project:
        yield project


@dataclass
class Road:
    """What came of a call of papermill's command line: exit code, its stderr, the notebook and the ledger's row."""

    code: int
    stderr: str
    nb: Any
    row: Any


def papermill(project: Project, path: Path, *arguments: str) -> Road:
    out = path.with_name(f"{path.stem}-out.ipynb")
    command = [sys.executable, "-m", "papermill", str(path), str(out), "--engine", "nbprod", "--no-progress-bar"]
    environ = {**os.environ, MARK: project.environ[MARK]}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environ, cwd=path.parent
    )
    nb = nbformat.read(out, as_version=4) if out.exists() else None
    row = next(project.home.ledger.runs(RunQuery(steps=(path.stem,))), None)
    return Road(done.returncode, done.stderr, nb, row)


@pytest.fixture(scope="module", params=TRAPS, ids=list(TRAPS))
def trapped(request: pytest.FixtureRequest, project: Project) -> tuple[Road, str, str]:
    source, status = TRAPS[request.param]
    path = write(project.root / f"{request.param}.ipynb", FIRST, source, LAST)
    arguments = ["--execution-timeout", "1"] if status == "timed_out" else []
    return papermill(project, path, *arguments), source, status


def test_a_trap_ends_with_an_error_and_a_record(trapped: tuple[Road, str, str]) -> None:
    road, _, status = trapped
    assert road.code != 0
    assert "PapermillExecutionError" in road.stderr
    assert status in road.stderr
    assert road.row.status == status


def test_the_notebook_that_papermill_leaves_tells_the_truth(trapped: tuple[Road, str, str]) -> None:
    road, source, status = trapped
    nbformat.validate(road.nb)
    assert lies_of(road.nb) == []
    assert statuses(road.nb) == ["completed", "failed", "pending"]
    assert road.nb.metadata.nbprod.status == status
    cell = next(cell for cell in road.nb.cells if cell.source == source)
    assert cell.outputs[0].text.startswith("last words\n")


def test_a_success_is_one_that_papermill_and_scrapbook_understand(project: Project) -> None:
    path = write(project.root / "fine.ipynb", FIRST, "import scrapbook as sb\nsb.glue('a', alpha)\nprint(alpha)")
    road = papermill(project, path, "-p", "alpha", "0.5")
    assert road.code == 0, road.stderr
    assert lies_of(road.nb) == []
    assert set(statuses(road.nb)) == {"completed"}
    assert road.nb.metadata.papermill.parameters == {"alpha": 0.5}
    assert road.row.status == "succeeded"
    assert road.row.parameters["alpha"] == 0.5
    assert road.row.scraps == {"a": 0.5}
    import scrapbook

    book = scrapbook.read_notebook(str(path.with_name("fine-out.ipynb")))
    assert (book.scraps["a"].data, book.parameters["alpha"]) == (0.5, 0.5)


def test_an_unknown_parameter_is_refused_and_nothing_is_kept(project: Project) -> None:
    path = write(project.root / "unknown.ipynb", FIRST, "print(1)")
    road = papermill(project, path, "-p", "alhpa", "1")
    assert road.code != 0
    assert "alhpa" in road.stderr
    assert "did you mean alpha?" in road.stderr.splitlines()[-1]
    assert road.row is None


def test_in_process_with_a_cwd(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import papermill as pm

    monkeypatch.chdir(project.root)
    monkeypatch.setenv(MARK, project.environ[MARK])
    (project.root / "elsewhere").mkdir()
    path = write(project.root / "inside.ipynb", FIRST, "import os\nprint(os.getcwd())")
    before = path.read_bytes()
    out = project.root / "inside-out.ipynb"
    how = {"engine_name": "nbprod", "progress_bar": False}
    nb = pm.execute_notebook(str(path), str(out), {"alpha": 2}, cwd="elsewhere", **how)
    assert path.read_bytes() == before
    assert nb.cells[-1].outputs[0].text == f"{project.root / 'elsewhere'}\n"
    again = nbformat.read(out, as_version=4)
    assert again.metadata.nbprod.run == nb.metadata.nbprod.run
    assert again.metadata.papermill.exception is None
    bad = write(project.root / "bad.ipynb", FIRST, "1 / 0", LAST)
    with pytest.raises(pm.PapermillExecutionError, match="ZeroDivisionError"):
        pm.execute_notebook(str(bad), str(out), **how)
    assert lies_of(nbformat.read(out, as_version=4)) == []
