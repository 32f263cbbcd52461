"""Defects that an attack on the whole found, each with its scene."""

from __future__ import annotations

import getpass
import os
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbprod
from nbprod.errors import NbprodError, NotebookInvalid
from nbprod.ledger import open_ledger
from nbprod.project import Project, RunOptions
from nbprod.record.status import Status
from nbprod.runner import closer
from nbprod.runner.ports import user_name
from nbprod.runner.started import RunFolder
from nbprod.store import open_store
from tests.processes import eventually

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


NESTED = "v = 1\nfor _ in range({}):\n    v = {{'a': v}}\n"


@pytest.mark.parametrize(("levels", "status"), [(90, "succeeded"), (150, "failed"), (400, "failed"), (5000, "failed")])
def test_a_deeply_nested_scrap_leaves_no_run_open(project: Project, levels: int, status: str) -> None:
    path = write(project.root, f"deep{levels}", NESTED.format(levels) + "import scrapbook as sb\nsb.glue('deep', v)")
    done = run(project, path)
    assert str(done.status) == status, done.reason
    assert ("nested more than" in done.reason) is (levels in (150, 400))
    assert done.notebook.exists()


@pytest.mark.parametrize("levels", [250, 900])
def test_a_deeply_nested_output_leaves_no_run_open(project: Project, levels: int) -> None:
    show = "from IPython.display import display\ndisplay({'application/json': v, 'text/plain': 'v'}, raw=True)"
    done = run(project, write(project.root, f"json{levels}", NESTED.format(levels) + show))
    assert done.status is Status.SUCCEEDED, done.reason
    assert "nested more than 200 levels deep" in done.notebook.read_text()


def test_what_no_record_can_be_made_of_is_closed_without_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = (
        "import pathlib, shutil, time\nprint('said')\ntime.sleep(0.5)\n"
        "(at,) = [p for p in pathlib.Path('.nbprod/runs').iterdir() if (p / 'journal.jsonl').exists()]\n"
        "_ = shutil.copytree(at, 'as-it-was')"
    )
    done = run(project, write(project.root, "copied", copy))
    conclude, tries = closer.conclude, []

    def failing(started: Any, ended: Any, *ports: Any, **more: Any) -> Any:
        tries.append(ended.stop.reason)
        if len(tries) == 1:
            raise RecursionError
        return conclude(started, ended, *ports, **more)

    monkeypatch.setattr(closer, "conclude", failing)
    ledger, store = open_ledger("memory://"), open_store("memory://", base=project.root)
    ledger.append(next(each.event for each in project.home.ledger.events(done.id)))
    record = closer.close_crashed(RunFolder(project.root / "as-it-was"), store, ledger)
    assert record is not None
    assert (record.verdict.status, len(tries)) == (Status.CRASHED, 2)
    assert "could not be taken into the record (RecursionError)" in record.verdict.reason
    assert b"said" in store.get(record.journal.digest)


def test_who_waited_is_not_answered_with_what_is_out_of_date(project: Project) -> None:
    source = (
        "import pathlib, time\nprint(pathlib.Path('told.txt').read_text())\npathlib.Path('has-read').touch()\n"
        "while not pathlib.Path('go').exists():\n    time.sleep(0.02)"
    )
    path = write(project.root, "waits", source)
    (project.root / "told.txt").write_text("old")
    found: dict[str, nbprod.Run] = {}

    def ask(name: str) -> None:
        job = project.job(project.step(path), {}, RunOptions(reuse=True))
        found[name] = project.run_job(job)

    first, second = (threading.Thread(target=ask, args=(name,)) for name in ("first", "second"))
    first.start()
    assert eventually((project.root / "has-read").exists, 60)
    (project.root / "told.txt").write_text("new")
    second.start()
    time.sleep(1)  # it waits by now; should it not, an earlier run may not answer it either
    (project.root / "go").touch()
    first.join()
    second.join()
    assert text_of(found["first"]) == "old\n"
    assert (found["second"].status, text_of(found["second"])) == (Status.SUCCEEDED, "new\n")
    ask("third")
    assert (found["third"].status, found["third"].record.of) == (Status.CACHED, found["second"].id)  # the control


def test_a_user_id_without_a_name_is_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert user_name() == f"uid {os.getuid()}"
