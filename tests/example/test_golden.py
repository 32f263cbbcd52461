"""The example's notebooks put out the same in a forked kernel as in one that was started, and leave the same files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbprod
from nbprod.project import Project, Run
from tests.notebooks import project_in
from tests.processes import nothing_survives

pytestmark = [pytest.mark.kernel, pytest.mark.torture]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TABLES = ("flights", "outcomes", "weather", "planes")
# Places, durations, and the digest of the model file, which holds addresses and times.
VOLATILE = re.compile(
    r"'data': [\d.e-]+, 'encoder': 'json', 'name': 'fit_seconds'"
    r"|/[^\s'\"<>]*/(?:runs|output|views)/[^\s'\"<>]*"
    r"|\d+(\.\d+)? ?(s|ms|seconds)\b|0x[0-9a-f]{6,}|[0-9a-f]{64}"
)


def chain(project: Project) -> dict[str, Run]:
    shutil.copytree(NOTEBOOKS, project.root / "notebooks", ignore=shutil.ignore_patterns("output", ".*"))

    def run(step: str, **parameters: Any) -> Run:
        done = nbprod.run(project.root / "notebooks" / f"{step}.ipynb", parameters, project=project)
        done.raise_for_status()
        return done

    data = run("ingest", start="2013-01-10", end="2013-01-31")
    table = run("features", **{name: data.artifacts[f"{name}.parquet"] for name in TABLES})
    features = table.artifacts["features.parquet"]
    model = run("train", features=features, valid_days=7, max_iter=40)
    metrics = run(
        "evaluate",
        features=features,
        model=model.artifacts["model.skops"],
        train_metrics=model.artifacts["metrics.json"],
    )
    scored = run("score", day="2013-01-31", features=features, model=model.artifacts["model.skops"])
    page = run(
        "report",
        metrics=metrics.artifacts["metrics.json"],
        metrics_by_group=metrics.artifacts["metrics_by_group.parquet"],
        model=model.artifacts["model.skops"],
        airlines=data.artifacts["airlines.parquet"],
    )
    return {"ingest": data, "features": table, "train": model, "evaluate": metrics, "score": scored, "report": page}


def outputs(run: Run) -> list[str]:
    cells = nbformat.read(run.notebook, as_version=4).cells
    return [VOLATILE.sub("…", str(cell.outputs)) for cell in cells if cell.cell_type == "code"]


def digests(run: Run) -> Mapping[str, str]:
    volatile = (".skops", "report.md", "metrics.json")  # the model, its digest, how long it took
    return {each.name: str(each.digest) for each in run.record.artifacts if not each.name.endswith(volatile)}


def test_the_example_is_the_same_in_forked_kernels(tmp_path: Path) -> None:
    found = {}
    for how, warm in (("started", "false"), ("forked", "true")):
        with nothing_survives() as mark, project_in(tmp_path / how, mark, "", {"NBPROD_WARM": warm}) as project:
            runs = chain(project)
            launches = {run.record.launch and run.record.launch.how for run in runs.values()}
            assert launches == {how}
            found[how] = {step: (outputs(run), digests(run)) for step, run in runs.items()}
    for step, (texts, files) in found["started"].items():
        assert found["forked"][step][0] == texts, step
        assert found["forked"][step][1] == files, step
