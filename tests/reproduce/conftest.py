"""A project with a run of each kind that can be executed again, made once for all tests here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbprod.project import Project, Run, RunOptions
from nbprod.project.export import export
from nbprod.project.published import publish_step
from nbprod.project.reproduce import Reproduction
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import MARK, nothing_survives

TOKEN = "hunter2-correct-horse"
SETTINGS = """
keys = "keys"
keep_inputs = "10 kB"
roots = ["tables"]
[tool.nbprod.steps.work]
notebook = "notebooks/work.ipynb"
[tool.nbprod.steps.next]
notebook = "notebooks/next.ipynb"
[tool.nbprod.steps.frozen]
notebook = "notebooks/frozen.ipynb"
[tool.nbprod.steps.secretive]
notebook = "notebooks/secretive.ipynb"
secrets = ["NBPROD_TEST_TOKEN"]
"""
GLUE = """
def glue(name, value):  # as scrapbook does it, which takes seconds to import
    kind = 'application/scrapbook.scrap.json+json'
    told = {'name': name, 'data': value, 'encoder': 'json', 'version': 1}
    display({kind: told}, metadata={'scrapbook': {'name': name, 'data': True, 'display': False}}, raw=True)
"""
WORK = """
import helper
from pathlib import Path
table = rows.read_text()
more = Path('../data/more.txt').read_text()
print(helper.twice(alpha), table, more, sorted(p.name for p in Path('../tables').iterdir()))
object()
"""
LEAVE = f"""{GLUE}
glue('total', helper.twice(alpha))
Path(output_dir, 'table.txt').write_text(table)
print(Path.cwd())
"""
VOLATILE = f"""{GLUE}
import os
from pathlib import Path
glue('drawn', int.from_bytes(os.urandom(4), 'big'))
print('fine')
print('\\x1b[31mdrawn', os.urandom(4).hex())
Path(output_dir, 'drawn.bin').write_bytes(os.urandom(8))
"""


@dataclass(frozen=True)
class Base:
    """The project that is copied for each test, its runs by name, and those of them that were executed again there."""

    root: Path
    runs: dict[str, str]
    again: dict[str, Reproduction]

    def bundle(self, name: str) -> Path:
        """Return the bundle of a run, with what it used."""
        return self.root / f"{name}.nbprod.zip"


@dataclass(frozen=True)
class Place:
    """A copy of it."""

    project: Project
    runs: dict[str, str]
    again: dict[str, Reproduction]

    @property
    def root(self) -> Path:
        return self.project.root

    def run(self, name: str) -> Run:
        return self.project.run(self.runs[name])


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    root = tmp_path_factory.mktemp("first")
    for folder in ("notebooks", "data", "tables/inner"):
        (root / folder).mkdir(parents=True)
    (root / "data" / "rows.csv").write_text("a,b\n1,2\n")
    (root / "data" / "more.txt").write_text("more\n")
    (root / "data" / "large.bin").write_bytes(b"0123456789" * 2000)
    (root / "tables" / "one.txt").write_text("one\n")
    (root / "tables" / "inner" / "two.txt").write_text("two\n")
    (root / "notebooks" / "helper.py").write_text("def twice(value):\n    return 2 * value\n")
    declared = "from pathlib import Path\nrows: Path = Path('../data/rows.csv')\nalpha: float = 1.0\noutput_dir = '.'"
    write(root / "notebooks" / "work.ipynb", (declared, PARAMETERS), WORK, LEAVE)
    # Beside a published step lies what was frozen with it, and nothing of the project.
    write(root / "notebooks" / "frozen.ipynb", (declared, PARAMETERS), "import helper\ntable = rows.read_text()", LEAVE)
    write(
        root / "notebooks" / "next.ipynb",
        ("from pathlib import Path\nupstream: Path = Path('x')\noutput_dir: Path = Path('x')", PARAMETERS),
        "(output_dir / 'copy.txt').write_text(upstream.read_text().upper())\nprint(upstream)",
    )
    write(root / "notebooks" / "volatile.ipynb", ("output_dir = '.'", PARAMETERS), VOLATILE)
    write(root / "notebooks" / "secretive.ipynb", "import os\nprint(len(os.environ['NBPROD_TEST_TOKEN']))")
    write(root / "notebooks" / "fails.ipynb", "x = 1", "raise ValueError('no')", "x = 2")
    read = "from pathlib import Path\nlarge: str = '../data/large.bin'"
    write(root / "notebooks" / "large.ipynb", (read, PARAMETERS), "print(len(Path(large).read_bytes()))")
    runs: dict[str, str] = {}
    environ = {"NBPROD_TEST_TOKEN": TOKEN, "NBPROD_WARM": "true"}
    with nothing_survives() as mark, project_in(root, mark, SETTINGS, environ) as project:

        def run(name: str, what: str, **values: Any) -> Run:
            done = project.run_job(project.job(project.step(what), values, RunOptions()))
            assert bool(done) is (name != "fails"), (name, done.reason)
            runs[name] = str(done.id)
            return done

        first = run("work", "work", rows=root / "data" / "rows.csv", alpha=2.0)
        run("next", "next", upstream=first.artifacts["table.txt"])
        run("secretive", "secretive")
        run("fails", str(root / "notebooks/fails.ipynb"))
        run("large", str(root / "notebooks/large.ipynb"))
        publish_step(project, "frozen")
        run("published", "frozen@1", rows=root / "data" / "rows.csv", alpha=3.0)
        run("volatile", str(root / "notebooks/volatile.ipynb"))
        found = {name: project.run(runs[name]).reproduce(project=project) for name in ("fails", "volatile")}
        for name in ("next", "secretive", "volatile"):
            export(project, project.run(runs[name]), root / f"{name}.nbprod.zip", upstream=True)
        project.close()
        yield Base(root, runs, found)


@pytest.fixture
def place(base: Base, tmp_path: Path) -> Iterator[Place]:
    """A copy at another place, of which nothing is left but what is kept, unless a test wants it."""
    with nothing_survives() as mark:
        root = tmp_path / "copy"
        shutil.copytree(base.root, root, symlinks=True)
        project = Project.find(root, {**inherited(), MARK: mark, "NBPROD_TEST_TOKEN": TOKEN})
        try:
            yield Place(project, base.runs, base.again)
        finally:
            project.close()
            project.home.ledger.close()


def inherited() -> dict[str, str]:
    import os

    return {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


@pytest.fixture
def bare(place: Place) -> Callable[[], Place]:
    """Remove all that the runs read: what is kept has to do."""

    def strip() -> Place:
        for folder in ("notebooks", "data", "tables"):
            shutil.rmtree(place.root / folder, ignore_errors=True)
        return place

    return strip
