"""A chain of two notebooks: after a change, exactly the steps that it concerns are run again, and it is said why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.project import Project, Run, RunOptions
from nbprod.project.explain import explain_job
from nbprod.runner import Job
from tests.notebooks import PARAMETERS, write

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

CLEAN = """
from pathlib import Path
rows = [int(line) for line in Path(table).read_text().split()]
_ = Path(output_dir, "rows.txt").write_text(" ".join(str(row) for row in rows if row >= low))
"""
FIT = """
from pathlib import Path
import scrapbook as sb
import scaling
sb.glue("sum", scaling.scaled(sum(map(int, Path(rows).read_text().split()))) * depth)
"""
MODULE = "def scaled(number):\n    return {} * number\n"
METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: {}\n"


class Chain:
    """Two steps in a project; the second gets what the first left."""

    def __init__(self, root: Path) -> None:
        self.root, self.low, self.depth = root, 0, 1
        (root / "pyproject.toml").write_text(
            "[tool.nbprod.steps.clean]\nnotebook = 'clean.ipynb'\n[tool.nbprod.steps.fit]\nnotebook = 'fit.ipynb'\n"
        )
        declared = "from pathlib import Path\ntable: Path = 'data/table.txt'\nlow: int = 0\noutput_dir: Path = 'out'"
        write(root / "clean.ipynb", (declared, PARAMETERS), CLEAN)
        declared = "from pathlib import Path\nrows: Path = 'rows.txt'\ndepth: int = 1"
        write(root / "fit.ipynb", (declared, PARAMETERS), FIT)
        (root / "data").mkdir()
        self.set_table("1 2 3")
        self.set_module(2)
        self.set_package("1.0")

    def set_table(self, text: str) -> None:
        (self.root / "data" / "table.txt").write_text(text)

    def set_module(self, factor: int) -> None:
        (self.root / "scaling.py").write_text(MODULE.format(factor))

    def set_package(self, version: str) -> None:
        """Install a package, outside the project's own environment."""
        for old in (site := self.root / ".site").glob("*/METADATA"):
            old.unlink()
            old.parent.rmdir()
        (info := site / f"tiny-{version}.dist-info").mkdir(parents=True)
        (info / "METADATA").write_text(METADATA.format(version))

    def project(self) -> Project:
        return Project.find(self.root, {**os.environ, "PYTHONPATH": str(self.root / ".site")})

    def jobs(self) -> tuple[Job, Callable[[Run], Job]]:
        project, options = self.project(), RunOptions(reuse=True)
        clean = project.job(project.step("clean"), {"low": self.low}, options)

        def fit(cleaned: Run) -> Job:
            values = {"rows": cleaned.artifacts["rows.txt"], "depth": self.depth}
            return project.job(project.step("fit"), values, options)

        return clean, fit

    def run(self) -> tuple[list[str], list[str]]:
        """Run both steps; return how each ended, and what was said beforehand of why it would be run."""
        project = self.project()
        clean, fit = self.jobs()
        told = [_why(project, clean)]
        cleaned = project.run_job(clean).raise_for_status()
        told.append(_why(project, fit(cleaned)))
        fitted = project.run_job(fit(cleaned)).raise_for_status()
        return [str(run.status) for run in (cleaned, fitted)], told


def _why(project: Project, job: Job) -> str:
    found = explain_job(project, job)
    return "" if found.answer else " ".join([*map(str, found.differences), *found.hindrances])


def test_exactly_what_a_change_concerns_is_run_again(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    ran, cached = "succeeded", "cached"
    assert chain.run()[0] == [ran, ran]
    assert chain.run() == ([cached, cached], ["", ""])  # the control: nothing has changed

    chain.depth = 3
    statuses, (_, why) = chain.run()
    assert statuses == [cached, ran]
    assert why.startswith("parameter depth: 1 → 3")

    chain.set_module(5)
    statuses, (_, why) = chain.run()
    assert statuses == [cached, ran]
    assert "scaling.py" in why

    chain.set_table("1 2 3 4")
    statuses, (first, second) = chain.run()
    assert statuses == [ran, ran]
    assert first.startswith("input table: ")
    assert second.startswith("input rows: ")

    chain.set_table("1 2 3 4\n")  # another file, which makes no difference to what comes of it
    statuses, (first, _) = chain.run()
    assert statuses == [ran, cached]
    assert first.startswith("input table: ")

    chain.low = 2
    statuses, (first, second) = chain.run()
    assert statuses == [ran, ran]
    assert first.startswith("parameter low: 0 → 2")
    assert second.startswith("input rows: ")

    chain.set_package("1.1")
    statuses, told = chain.run()
    assert statuses == [ran, ran]
    assert all("tiny" in why and "1.1" in why for why in told), told
    assert chain.run() == ([cached, cached], ["", ""])
