"""Defects that an attack on the whole found, each with its scene."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

import nbprod
from nbprod.errors import NbprodError, NotebookInvalid
from nbprod.project import Project, RunOptions

pytestmark = pytest.mark.kernel


def write(folder: Path, name: str, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), path)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("attacked")
    (root / "pyproject.toml").write_text("[tool.nbprod]\n")
    project = Project.find(root)
    yield project
    project.close()


def text_of(run: nbprod.Run) -> str:
    node = nbformat.read(run.notebook, as_version=4)
    outputs = [output for cell in node.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs)


def run(project: Project, path: Path, **options: object) -> nbprod.Run:
    return nbprod.run(path, project=project, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 0, -1])
def test_a_deadline_that_is_none_is_refused_and_nothing_is_left_open(project: Project, seconds: float) -> None:
    path = write(project.root, "deadline", "1")
    with pytest.raises(NbprodError, match="finite number of seconds"):
        project.job(project.step(path), {}, RunOptions(timeout=seconds))
    assert project.recover() == []


def test_what_threads_say_after_the_last_cell_is_kept(project: Project) -> None:
    late = 'import threading, time\ndef say():\n    time.sleep(0.3)\n    print("late", flush=True)\n'
    path = write(project.root, "late", late + "threading.Thread(target=say).start()")
    assert "late\n" in text_of(run(project, path))


def test_an_exception_with_megabytes_stays_bearable(project: Project) -> None:
    done = run(project, write(project.root, "boom", 'raise ValueError("boom" * 2_000_000)'))
    assert len(done.reason) < 1000
    assert done.notebook.stat().st_size < 500_000
    assert "characters were cut" in done.notebook.read_text()


def test_outputs_that_were_cleared_do_not_count(project: Project) -> None:
    loop = (
        "from IPython.display import clear_output\nfor i in range(130):\n    clear_output(wait=True)\n"
        '    print(i, "p" * 100_000)'
    )
    done = run(project, write(project.root, "clear", loop))
    assert text_of(done).startswith("129 ppp")
    assert not done.record.verdict.cells[0].truncated


def test_a_cell_that_is_no_text_is_refused(project: Project) -> None:
    path = write(project.root, "surrogate", "x = 'MARK'")
    path.write_text(path.read_text().replace("MARK", "\\ud800"))
    with pytest.raises(NotebookInvalid, match="no text"):
        run(project, path)


def test_an_exit_that_nothing_follows_is_no_early_one(project: Project) -> None:
    assert run(project, write(project.root, "last", "1", "exit()"))
    early = run(project, write(project.root, "early", "exit()", "1"))
    assert (str(early.status), early.reason) == ("exited_early", "cell 0 called exit()")
