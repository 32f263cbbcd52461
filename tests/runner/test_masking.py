"""Runs whose secrets are ordinary words: judged truly, closed, and masked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbprod
from nbprod.errors import CallerError
from nbprod.ledger.memory import MemoryLedger
from nbprod.project import Project, RunOptions
from nbprod.runner.closer import close_crashed
from nbprod.runner.started import RunFolder
from nbprod.store.memory import MemoryStore
from tests.notebooks import PARAMETERS, Cell, project_in, write
from tests.processes import nothing_survives

pytestmark = pytest.mark.kernel

NASTY = [
    "data",
    "name",
    "status",
    "error",
    "text",
    "stdout",
    "version",
    "encoder",
    "payload",
    "metadata",
    "12345",
    "true",
    "null",
    "plain",
    "html",
    "application",
    "execution_state",
    "output_type",
    "traceback",
    "ename",
    "evalue",
    "display",
    "value",
    "float",
]
NAMES = [f"NBPROD_TEST_{number}" for number in range(len(NASTY))]
STEPS = f"""
[tool.nbprod.steps.nasty]
notebook = "nasty.ipynb"
secrets = {NAMES}

[tool.nbprod.steps.leaves]
notebook = "leaves.ipynb"
secrets = ["NBPROD_TEST_PASSWORD"]
expect.artifacts = ["model.bin", "*.txt"]

[tool.nbprod.steps.five]
notebook = "five.ipynb"
secrets = ["NBPROD_TEST_FIVE"]
"""
PASSWORD = "correct-horse-battery"
LEAVE = """
import os, shutil
pw = os.environ["NBPROD_TEST_PASSWORD"]
os.makedirs(output_dir + f"/{pw}x")
open(output_dir + f"/{pw}x/{pw}.txt", "w").close()
open(output_dir + f"/{pw}.csv", "w").close()
os.symlink("/nowhere", output_dir + f"/link-{pw}")
open(output_dir + "/model.bin", "w").close()
shutil.copytree(output_dir + "/..", "as-it-was", symlinks=True)
"""
FIRST = "import scrapbook as sb\nprint('hello 12345'); display({'a': 12345}); sb.glue('n', 12345); sb.glue('t', 'x')"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    environ = {**dict(zip(NAMES, NASTY, strict=True)), "NBPROD_TEST_FIVE": "12345", "NBPROD_TEST_PASSWORD": PASSWORD}
    root = tmp_path_factory.mktemp("nasty")
    with nothing_survives() as mark, project_in(root, mark, STEPS, environ) as project:
        yield project


def run(project: Project, name: str, /, *cells: Cell, **options: Any) -> nbprod.Run:
    return nbprod.run(write(project.root / f"{name}.ipynb", *cells), project=project, **options)


def kinds_of(run: nbprod.Run) -> list[list[str]]:
    nb = nbformat.read(run.notebook, as_version=4)
    nbformat.validate(nb)
    cells = [cell for cell in nb.cells if cell.cell_type == "code" and cell.execution_count]
    return [[f"{each.output_type} {each.get('name', '')}".strip() for each in cell.outputs] for cell in cells]


def test_words_of_the_protocol_as_secrets_change_no_verdict(project: Project) -> None:
    done = run(project, "nasty", FIRST, "1/0")
    assert done.status == "failed"
    assert "cell 1 raised ZeroDivisionError" in done.reason
    assert [str(cell.status) for cell in done.record.verdict.cells] == ["ok", "failed"]
    assert kinds_of(done) == [["stream stdout", "display_data", "display_data", "display_data"], ["error"]]
    assert [scrap.name for scrap in done.record.scraps] == ["n", "t"]


def test_a_number_that_is_a_secret_stands_nowhere_in_what_was_put_out(project: Project) -> None:
    done = run(project, "five", FIRST, "x = 1")
    assert done, done.reason
    outputs = [cell.outputs for cell in nbformat.read(done.notebook, as_version=4).cells if cell.cell_type == "code"]
    assert "12345" not in str(outputs)
    assert "hello «secret:NBPROD_TEST_FIVE»" in str(outputs)
    assert done.scraps["n"] == "«secret:NBPROD_TEST_FIVE»"


def test_half_of_a_secret_waits_across_cells_and_is_let_go_when_the_kernel_dies(project: Project) -> None:
    begins = f"print('cell 1: {PASSWORD[:7]}', end='')"
    ends = f"print('{PASSWORD[7:]} in cell 2'); print('last words: corr', end='', flush=True); import os; os._exit(3)"
    done = run(project, "leaves", begins, ends)
    assert done.status == "kernel_died"
    cells = [cell for cell in nbformat.read(done.notebook, as_version=4).cells if cell.cell_type == "code"]
    told = ["".join(each.get("text", "") for each in cell.outputs) for cell in cells]
    assert told[-2:] == ["cell 1: «secret:NBPROD_TEST_PASSWORD»", " in cell 2\nlast words: corr"]


def test_file_names_that_hold_a_secret_are_masked_by_the_run_and_nothing_is_kept_by_recovery(project: Project) -> None:
    done = run(project, "leaves", ("output_dir = 'x'", PARAMETERS), LEAVE, name="mine", tags=("t",))
    assert done, done.reason
    mask = "«secret:NBPROD_TEST_PASSWORD»"
    assert [kept.name for kept in done.record.artifacts] == [f"{mask}.csv", "model.bin", f"{mask}x/{mask}.txt"]
    assert PASSWORD not in str(done.record)
    assert any(f"link-{mask} in the output folder" in note for note in done.record.notes)
    assert any(f"artifact {mask}.csv had another name" in note for note in done.record.notes)

    ledger, store = MemoryLedger(), MemoryStore()
    ledger.append(next(e.event for e in project.home.ledger.events() if str(e.event.run_id) == str(done.id)))
    record = close_crashed(RunFolder(project.root / "as-it-was"), store, ledger)
    assert record is not None
    assert (record.labels.name, record.labels.tags) == ("mine", ("t",))  # recovery knows what the run was called
    assert record.labels == done.record.labels
    assert record.artifacts == ()  # any of them may hold the secret, and nobody is left who knows it
    assert any("does not know its secrets, and left it there" in note for note in record.notes)
    assert (project.root / "as-it-was" / "output" / "model.bin").exists()
    assert PASSWORD not in str(record)


@pytest.mark.parametrize(
    "options",
    [
        {"name": f"my {PASSWORD}"},
        {"note": PASSWORD},
        {"tags": ("fine", PASSWORD)},
        {"output": f"{PASSWORD}.ipynb"},
    ],
    ids=["name", "note", "tag", "output"],
)
def test_words_about_a_run_that_hold_a_secret_are_refused(
    project: Project, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    before = len(list(project.home.ledger.events()))
    with pytest.raises(CallerError, match="would hold the value of a secret") as caught:
        run(project, "leaves", "1", **options)
    assert PASSWORD not in str(caught.value)
    assert len(list(project.home.ledger.events())) == before


def test_neither_a_kernel_specs_variables_nor_its_last_words_tell_a_secret(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    folder = tmp_path / "kernels" / "telling"
    folder.mkdir(parents=True)
    spec = {
        "argv": ["/bin/sh", "-c", "echo died of $NBPROD_TEST_PASSWORD; exit 3"],
        "env": {"DSN": "user:${NBPROD_TEST_PASSWORD}@host"},
        "display_name": "telling",
        "language": "sh",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    path = write(project.root / "leaves.ipynb", "1")
    done = project.run_job(project.job(project.step(path), {}, RunOptions(kernel="telling")))
    assert done.status == "kernel_died"
    assert "its last words: died of «secret:NBPROD_TEST_PASSWORD»" in done.reason
    record, store = done.record, project.home.store
    key = store.get(record.request.environment).decode()
    assert "user:«secret:NBPROD_TEST_PASSWORD»@host" in key
    assert record.environment_facts is not None
    for text in (key, str(record), store.get(record.environment_facts).decode()):
        assert PASSWORD not in text
