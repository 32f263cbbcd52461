"""A good run, end to end: what it leaves, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbprod
from nbprod.errors import ParameterError
from nbprod.execution.events import CellFinished, CellStarted, Event, KernelReady, StreamText
from nbprod.project import Project, Run
from nbprod.record.run_record import RunRecord
from tests.notebooks import PARAMETERS, code_of, statuses, write

pytestmark = pytest.mark.kernel

DECLARED = """
alpha: float = 0.1  # learning rate
data: str = "data/in.csv"
output_dir: str = "out"
"""
WORK = """
import os, pathlib, scrapbook as sb
print("cwd", os.getcwd())
text = pathlib.Path(data).read_text()
sb.glue("rows", len(text.splitlines()))
sb.glue("auc", 0.75)
sb.glue("nothing", None)
pathlib.Path(output_dir, "deep").mkdir()
pathlib.Path(output_dir, "model.bin").write_bytes(b"\\0model")
pathlib.Path(output_dir, "deep", "a b.txt").write_text("x")
os.symlink("/etc/passwd", pathlib.Path(output_dir, "link"))
print(len(os.listdir(output_dir)), "entries, alpha", alpha)
"""
LATE = """
import threading, time
def speak():
    time.sleep(0.2)
    print("from the thread", flush=True)
thread = threading.Thread(target=speak); thread.start()
print("started")
"""
HANDLE = "from IPython.display import display\nhandle = display('old', display_id='x')"
UPDATE = "handle.update('new')\nthread.join(); time.sleep(0.1)"
RESULT = "from IPython.display import HTML\nHTML('<b>plot</b>')"
RAISES = "1 / 0"
SKIPPED = "raise SystemExit('never run')"
FORKS = """
import multiprocessing, os
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, -2]))
if os.fork() == 0:
    os._exit(3)
print("status", os.wait()[1] >> 8)
"""


@dataclass
class Done:
    run: Run
    path: Path
    before: bytes
    events: list[Event]
    output: Path


@pytest.fixture(scope="module")
def done(project: Project) -> Done:
    folder = project.root / "notebooks"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "in.csv").write_text("a\n1\n2\n")
    (project.root / "uv.lock").write_bytes(b"version = 1")
    path = write(
        folder / "good {x} ü.ipynb",
        "# Good",
        (DECLARED, PARAMETERS),
        WORK,
        LATE,
        HANDLE,
        UPDATE,
        RESULT,
        (RAISES, ["raises-exception"]),
        (SKIPPED, ["skip-execution"]),
        FORKS,
        "",
    )
    before = path.read_bytes()
    events: list[Event] = []
    output = project.root / "executed.ipynb"
    run = nbprod.run(
        path, {"alpha": 0.5}, project=project, listener=events.append, output=output, name="first", tags=["a", "b"]
    )
    return Done(run, path, before, events, output)


@pytest.fixture(scope="module")
def nb(done: Done) -> Any:
    nb = nbformat.read(done.run.notebook, as_version=4)
    nbformat.validate(nb)
    return nb


def cell(nb: Any, source: str) -> Any:
    return next(each for each in nb.cells if each.source == source)


def test_it_succeeded_cell_by_cell(done: Done) -> None:
    assert done.run
    assert done.run.status == "succeeded"
    outcomes = {outcome.cell: outcome.status for outcome in done.run.record.verdict.cells}
    expected = dict.fromkeys([1, None, 2, 3, 4, 5, 6, 7, 9], "ok") | {8: "skipped", 10: "skipped"}
    assert outcomes == expected
    assert [o.execution_count for o in done.run.record.verdict.cells if o.execution_count] == list(range(1, 10))
    assert done.run.raise_for_status() is done.run


def test_nothing_was_written_beside_the_notebook(done: Done, project: Project) -> None:
    assert done.path.read_bytes() == done.before
    assert sorted(entry.name for entry in done.path.parent.iterdir()) == ["data", done.path.name]
    assert {entry.name for entry in project.root.iterdir()} >= {".nbprod", "executed.ipynb"}
    assert (project.home.folder / ".gitignore").read_text() == "*\n"
    left = {entry.name for entry in done.run.notebook.parent.iterdir()}
    assert left == {done.run.notebook.name}


def test_it_ran_in_the_notebooks_folder_with_its_parameters(done: Done, nb: Any) -> None:
    printed = "".join(output.get("text", "") for output in cell(nb, WORK).outputs)
    assert printed.startswith(f"cwd {done.path.parent}\n")
    assert "3 entries, alpha 0.5" in printed
    assert done.run.parameters["alpha"] == 0.5
    assert done.run.record.request.given == ("alpha",)
    assert os.getcwd() != str(done.path.parent)  # noqa: PTH109


def test_scraps(done: Done) -> None:
    assert dict(done.run.scraps) == {"rows": 3, "auc": 0.75, "nothing": None}
    assert {scrap.cell for scrap in done.run.record.scraps} == {2}


def test_artifacts_are_read_only_copies(done: Done) -> None:
    assert set(done.run.artifacts) == {"model.bin", "deep/a b.txt"}
    artifact = done.run.artifacts["model.bin"]
    path = artifact.path()
    assert path.read_bytes() == b"\0model"
    assert path.name == "model.bin"
    assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    assert artifact.digest.hex == hashlib.sha256(b"\0model").hexdigest()
    assert any("link" in note for note in done.run.record.notes)


def test_a_view_that_somebody_changed_is_renewed(done: Done) -> None:
    path = done.run.artifacts["deep/a b.txt"].path()
    path.chmod(0o600)
    path.write_text("y")
    assert done.run.artifacts["deep/a b.txt"].path().read_text() == "x"


def test_inputs_are_pinned(done: Done) -> None:
    (pinned,) = done.run.record.request.inputs
    assert (pinned.kind, pinned.name, pinned.path, pinned.size) == ("file", "data", "data/in.csv", 6)
    assert pinned.digest is not None
    assert pinned.digest.hex == hashlib.sha256(b"a\n1\n2\n").hexdigest()
    (lock,) = done.run.record.locks
    assert (lock.name, lock.digest.hex) == ("uv.lock", hashlib.sha256(b"version = 1").hexdigest())


def test_outputs_come_where_they_belong(nb: Any) -> None:
    # Which cell a thread's late text belongs to is the kernel's to say (ipykernel 7: the one that runs by then).
    late = [output.get("text", "") for text in (LATE, HANDLE, UPDATE) for output in cell(nb, text).outputs]
    assert "".join(late) == "started\nfrom the thread\n"
    assert [each.data["text/plain"] for each in cell(nb, HANDLE).outputs if "data" in each] == ["'new'"]
    assert cell(nb, RESULT).outputs[0].output_type == "execute_result"
    assert cell(nb, RAISES).outputs[0].ename == "ZeroDivisionError"
    assert "[1, 2]\nstatus 3\n" in "".join(output.get("text", "") for output in cell(nb, FORKS).outputs)


def test_papermills_metadata_is_in_place(done: Done, nb: Any) -> None:
    about = nb.metadata.papermill
    assert about.parameters["alpha"] == 0.5
    assert about.default_parameters == {"data": "data/in.csv"}
    assert about.exception is None
    assert (about.input_path, about.output_path) == ("notebooks/good {x} ü.ipynb", str(done.output))
    assert set(about) >= {"start_time", "end_time", "duration", "version", "environment_variables"}
    ran = [each for each in code_of(nb) if each.source not in (SKIPPED, "", RAISES)]
    assert {each.metadata.papermill.status for each in ran} == {"completed"}
    assert statuses(nb).count("pending") == 2
    assert all(each.metadata.papermill.duration >= 0 for each in ran)
    injected = nb.cells.index(next(each for each in nb.cells if "injected-parameters" in each.metadata.get("tags", [])))
    assert nb.cells[injected - 1].source == DECLARED
    assert "alpha = 0.5" in nb.cells[injected].source


def test_the_record_cell_is_first_and_says_what_matters(done: Done, nb: Any) -> None:
    first = nb.cells[0]
    assert (first.cell_type, first.metadata.tags) == ("markdown", ["nbprod-record"])
    for word in ("succeeded", str(done.run.id), "alpha", "0.5", "auc", "0.75", "model.bin", "UTC", "data/in.csv"):
        assert word in first.source
    assert str(done.run.record.notebook.digest) not in first.source
    assert nb.metadata.nbprod.run == str(done.run.id)


def test_the_output_is_the_same_notebook(done: Done) -> None:
    assert done.output.read_bytes() == done.run.notebook.read_bytes()
    stored = done.run.home.store.get(done.run.record.notebook.digest)
    assert stored == done.output.read_bytes()


def test_scrapbook_reads_it(done: Done) -> None:
    import scrapbook

    book = scrapbook.read_notebook(str(done.output))
    assert (book.scraps["rows"].data, book.scraps["auc"].data) == (3, 0.75)
    assert book.parameters["alpha"] == 0.5


def test_the_caller_heard_it_all(done: Done) -> None:
    assert isinstance(done.events[0], KernelReady)
    finished = [event for event in done.events if isinstance(event, CellFinished)]
    begun = [event for event in done.events if isinstance(event, CellStarted)]
    assert [event.done for event in finished] == list(range(1, 10))
    assert {event.total for event in finished} == {9}
    assert [event.cell for event in begun] == [1, None, 2, 3, 4, 5, 6, 7, 9]
    heard = [(event.cell, event.text) for event in done.events if isinstance(event, StreamText)]
    assert {cell for cell, text in heard if "from the thread" in text} <= {3, 4, 5}
    assert any("from the thread" in text for _, text in heard)


def test_the_record_is_stored_and_pickles(done: Done, project: Project) -> None:
    row = project.home.ledger.run(done.run.id)
    assert row.record is not None
    assert RunRecord.from_bytes(project.home.store.get(row.record)) == done.run.record
    assert (row.name, row.tags) == ("first", ("a", "b"))
    again = pickle.loads(pickle.dumps(done.run))
    assert again == done.run
    assert again.scraps["auc"] == 0.75
    journal = project.home.store.get(done.run.record.journal.digest)
    first = json.loads(journal.splitlines()[0])
    assert first["e"] == "kernel_ready"
    assert first["launch"]["how"] == ("forked" if project.environ["NBPROD_WARM"] == "true" else "started")
    assert project.run("first").id == done.run.id


def test_running_an_executed_notebook_again_strips_what_was_added(done: Done, project: Project) -> None:
    again = nbprod.run(done.output, {"data": str(done.path.parent / "data" / "in.csv")}, project=project)
    assert again
    assert again.record.request.source == done.run.record.request.source
    nb = nbformat.read(again.notebook, as_version=4)
    assert [each.metadata.get("tags", []) for each in nb.cells].count(["nbprod-record"]) == 1
    assert sum("injected-parameters" in each.metadata.get("tags", []) for each in nb.cells) == 1
    assert str(done.run.id) not in nb.cells[0].source
    assert any("injected-parameters" in note for note in again.record.notes)


def test_tags_that_an_author_set_make_no_cell_vanish(project: Project) -> None:
    path = write(
        project.root / "tagged.ipynb",
        ("x = 1\noutput_dir = 'o'", PARAMETERS),
        ("x = 42", ["injected-parameters"]),
        ("y = x", ["nbprod-record"]),
        ("z = y", ["papermill-error-cell-tag"]),
        "import scrapbook as sb; sb.glue('x', z)",
    )
    run = nbprod.run(path, project=project)
    assert run.scraps["x"] == 42
    assert run.record.notes == ()
    assert [cell.cell for cell in run.record.verdict.cells] == [0, None, 1, 2, 3, 4]
    again = nbprod.run(run.notebook, project=project)
    assert (again.scraps["x"], again.record.request.source) == (42, run.record.request.source)
    given = nbprod.run(path, {"x": 7}, project=project)
    assert given.scraps["x"] == 7
    assert [cell.cell for cell in given.record.verdict.cells] == [0, None, 2, 3, 4]
    (note,) = given.record.notes
    assert "cell 1" in note


def test_a_second_parameters_cell_is_told(project: Project) -> None:
    path = write(project.root / "twice.ipynb", ("x = 1", PARAMETERS), ("x = 2", PARAMETERS))
    (note,) = nbprod.run(path, {"x": 7}, project=project).record.notes
    assert "cell 1 is tagged parameters too" in note


def test_an_artifact_handed_on_is_an_edge(done: Done, project: Project) -> None:
    path = write(project.root / "reader.ipynb", ("model: str = 'none'", PARAMETERS), "print(open(model, 'rb').read())")
    run = nbprod.run(path, {"model": done.run.artifacts["model.bin"]}, project=project)
    assert run
    (entry,) = run.record.request.inputs
    assert (entry.kind, entry.run, entry.digest) == ("artifact", done.run.id, done.run.artifacts["model.bin"].digest)
    assert run.parameters["model"].path().read_bytes() == b"\0model"
    by_text = nbprod.run(path, {"model": f"nbprod:{done.run.id}/model.bin"}, project=project)
    assert by_text.record.request.digest == run.record.request.digest


def test_runs_are_found_again(done: Done, project: Project) -> None:
    found = list(nbprod.runs(where=["scraps.auc>=0.7", "params.alpha=0.5"], project=project))
    assert done.run.id in {run.id for run in found}
    assert list(nbprod.runs(status="crashed", project=project)) == []
    frame = nbprod.runs(tags=["a"], project=project).to_frame()
    assert list(frame["scrap.auc"]) == [0.75]


SAY_FOLDER = """
import pathlib, scrapbook as sb
sb.glue('kind', 'str' if isinstance(output_dir, str) else 'Path')
(pathlib.Path(output_dir) / 'a.txt').write_text('a')
"""


@pytest.mark.parametrize(
    ("declared", "kind"),
    [("output_dir: str", "str"), ("from pathlib import Path\noutput_dir: Path", "Path"),
     ("output_dir: str | None = None", "str")],
    ids=["str", "Path", "none"],
)  # fmt: skip
def test_output_dir_needs_no_default(project: Project, declared: str, kind: str) -> None:
    path = write(project.root / "folder.ipynb", (declared, PARAMETERS), SAY_FOLDER)
    run = nbprod.run(path, project=project)
    assert run.scraps["kind"] == kind
    assert list(run.artifacts) == ["a.txt"]


@pytest.mark.parametrize("declared", ["output_dir: int = 3", "output_dir: list[str]", "output_dir = 3.5"])
def test_an_output_dir_that_takes_no_folder_is_refused_before_a_run(project: Project, declared: str) -> None:
    path = write(project.root / "folder.ipynb", (declared, PARAMETERS))
    before = len(list(nbprod.runs(project=project)))
    with pytest.raises(ParameterError, match="Path or str"):
        nbprod.run(path, project=project)
    assert len(list(nbprod.runs(project=project))) == before
