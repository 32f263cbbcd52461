"""A kernel with libraries in memory puts out what an ordinary kernel puts out, byte for byte."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

import nbprod
from nbprod.kernels.imports import COVERED, preloads
from nbprod.project import Project, Run
from tests.notebooks import project_in, write
from tests.processes import nothing_survives

from .golden import GOLDEN

pytestmark = [pytest.mark.kernel, pytest.mark.xdist_group("golden")]

# Addresses and process ids differ between any two processes.
VOLATILE = re.compile(r"0x[0-9a-f]{6,}|(?<=ipykernel_)\d+")
GUESS = "from IPython import get_ipython\nWHERE = 'terminal' if get_ipython() is None else 'notebook'\n"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Project]]:
    """One project whose kernels are started, one whose are forked; with a package that looks where it is imported."""
    root = tmp_path_factory.mktemp("golden")
    (root / "guess.py").write_text(GUESS)
    with nothing_survives() as mark:
        shared = {"PYTHONPATH": str(root)}
        settings = "[tool.nbprod.kernels]\npreload = ['guess']"
        with (
            project_in(root / "a", mark, settings, {**shared, "NBPROD_WARM": "false"}) as started,
            project_in(root / "b", mark, settings, {**shared, "NBPROD_WARM": "true"}) as forked,
        ):
            yield {"started": started, "forked": forked}


def run(project: Project, name: str, *cells: str) -> Run:
    tagged = [(cell, ["raises-exception"]) for cell in cells]
    return nbprod.run(write(project.root / f"{name}.ipynb", *tagged), project=project)


def outputs(run: Run) -> list[Any]:
    nb = nbformat.read(run.notebook, as_version=4)
    text = [VOLATILE.sub("…", str(cell.outputs)) for cell in nb.cells if cell.cell_type == "code"]
    assert any(piece != "[]" for piece in text)
    return text


def test_every_covered_package_has_a_notebook() -> None:
    assert set(GOLDEN) == COVERED


@pytest.mark.parametrize("package", sorted(GOLDEN))
def test_a_library_in_memory_changes_nothing(projects: dict[str, Project], package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    cells = GOLDEN[package]
    for chances_left in (1, 0):  # on a busy machine a package says by chance that a worker of its own was late
        done = {how: run(project, package, *cells) for how, project in projects.items()}
        assert done["started"].status == done["forked"].status == "succeeded"
        if outputs(done["forked"]) == outputs(done["started"]):
            break
        assert chances_left, (outputs(done["forked"]), outputs(done["started"]))
    launch = done["forked"].record.launch
    assert launch is not None
    assert launch.how == "forked"
    assert launch.preloaded
    assert set(launch.preloaded) <= set(preloads(cells, ["guess"]))
    assert {name.partition(".")[0] for name in launch.preloaded} == {
        name.partition(".")[0] for name in preloads(cells, ["guess"])
    }


def test_the_libraries_were_in_memory(projects: dict[str, Project]) -> None:
    names = ("pandas", "scipy.stats", "matplotlib.pyplot", "json")
    look = f"import sys as it\nprint([name in it.modules for name in {names}])"
    cells = (look, "import pandas\nimport matplotlib.pyplot")
    assert outputs(run(projects["started"], "memory", *cells))[0].count("True") == 1
    forked = outputs(run(projects["forked"], "memory", *cells))[0]
    assert "[True, False, False, True]" in forked, "what it imports, nothing else, and nothing that hooks itself in"
    assert "[False, False, False, True]" in outputs(run(projects["forked"], "bare", look))[0]


def test_the_comparison_notices(projects: dict[str, Project]) -> None:
    """The control: a package that asks for the shell while it is imported must not be preloaded."""
    cells = ("import guess\nprint(guess.WHERE)",)
    assert outputs(run(projects["forked"], "control", *cells)) != outputs(run(projects["started"], "control", *cells))
