"""A scratch project with small notebooks, and the command line as people call it: a process of its own."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from nbprod.cli.app import nbprod as application

PYPROJECT = """
[tool.nbprod.steps.train]
notebook = "train.ipynb"
expect.scraps.auc = {type = "float", min = 0.6}
expect.artifacts = ["model.bin"]
"""

TRAIN = [
    "# Train a model",
    (
        "from pathlib import Path\nalpha: float = 0.25  # learning rate\ncode: str = 'x'\noutput_dir: Path = Path('o')",
        "parameters",
    ),
    "## Fit",
    ("import sys\nprint('fitted', alpha, repr(code))\nprint('careful', file=sys.stderr)",),
    ("import scrapbook as sb\nsb.glue('auc', 0.5 + alpha)",),
    ("(Path(output_dir) / 'model.bin').write_bytes(b'm' * 1234)",),
]


def write_notebook(path, cells):
    """Write a notebook: a text is markdown; a tuple is code and its tags."""
    notebook = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}})
    for cell in cells:
        if isinstance(cell, str):
            notebook.cells.append(new_markdown_cell(cell))
        else:
            source, *tags = cell
            notebook.cells.append(new_code_cell(source, metadata={"tags": tags} if tags else {}))
    nbformat.write(notebook, path)


def make_project(root: Path) -> Path:
    (root / "pyproject.toml").write_text(PYPROJECT)
    write_notebook(root / "train.ipynb", TRAIN)
    write_notebook(root / "fail.ipynb", [("print('before')",), ("1/0",), ("print('never')",)])
    write_notebook(root / "quit.ipynb", [("import sys; sys.exit(0)",), ("1",)])
    write_notebook(root / "die.ipynb", [("import os; os._exit(3)",)])
    ticks = "import time\nfor i in range(600):\n    print('tick', i, flush=True)\n    time.sleep(0.1)"
    write_notebook(root / "slow.ipynb", ["# Patience", (ticks,)])
    write_notebook(root / "we {ird} ü.ipynb", [("day = '2024'", "parameters"), ("print('ü', day)",)])
    return root


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Nbprod:
    """`nbprod …` in a folder: `run` in a process of its own, what only looks in this one, which is faster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}

    def __call__(self, *args):
        return self.process(*args) if args[0] == "run" else self.here(*args)

    def here(self, *args, **environ):
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(application, [str(arg) for arg in args], env=environ)
        return Done(done.exit_code, done.stdout, done.stderr)

    def process(self, *args, stdin=None, **environ):
        command = [sys.executable, "-m", "nbprod", *map(str, args)]
        return subprocess.run(
            command,
            cwd=self.folder,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={**self.environ, **environ},
            timeout=120,
            check=False,
        )

    def start(self, *args):
        command = [sys.executable, "-m", "nbprod", *map(str, args)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=self.environ,
        )


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def nbprod(project):
    return Nbprod(project)


@pytest.fixture(scope="session")
def with_runs(tmp_path_factory):
    """A project with three runs, made once: train twice, the second named, and one that failed."""
    here = Nbprod(make_project(tmp_path_factory.mktemp("with runs")))
    here.first = here("run", "train")
    here.second = here("run", "train.ipynb", "-p", "alpha", "0.4", "-r", "code", "007", "--name", "best", "--tag", "t1")
    here.failed = here("run", "fail.ipynb", "--log-output")
    return here
