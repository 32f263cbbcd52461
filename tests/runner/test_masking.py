"""Runs whose secrets are ordinary words: judged truly, closed, and masked."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest

import nbprod
from nbprod.project import Project
from tests.notebooks import project_in, write
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

[tool.nbprod.steps.five]
notebook = "five.ipynb"
secrets = ["NBPROD_TEST_FIVE"]
"""
FIRST = "import scrapbook as sb\nprint('hello 12345'); display({'a': 12345}); sb.glue('n', 12345); sb.glue('t', 'x')"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    environ = {**dict(zip(NAMES, NASTY, strict=True)), "NBPROD_TEST_FIVE": "12345"}
    root = tmp_path_factory.mktemp("nasty")
    with nothing_survives() as mark, project_in(root, mark, STEPS, environ) as project:
        yield project


def run(project: Project, name: str, *cells: str) -> nbprod.Run:
    return nbprod.run(write(project.root / f"{name}.ipynb", *cells), project=project)


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
