"""The benchmark runs and reports in the right shape; how fast anything is, is none of a test's business."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Peak, Samples, Tool, files_in
from benchmarks.notebooks import WORKLOADS, write
from benchmarks.report import Cold, Result, page

ROOT = Path(__file__).resolve().parents[2]


def result(papermill: tuple[float | None, ...], nbprod: tuple[float, ...], name: str = "cells") -> Result:
    return Result(
        workload=WORKLOADS[name],
        seconds={"papermill": Samples(papermill), "nbprod": Samples(nbprod)},
        memory={"papermill": Samples((200e6,)), "nbprod": Samples((100e6,))},
        files={"papermill": (1, 5_000), "nbprod": (7, 50_000)},
    )


@pytest.mark.kernel
@pytest.mark.slow
def test_a_quick_benchmark_measures_both_tools_and_writes_the_page(tmp_path: Path) -> None:
    target = tmp_path / "results.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--quick", "--results", str(target)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    text = target.read_text("utf-8")
    assert WORKLOADS["trivial"].about in done.stdout
    assert "the trivial notebook by the command line" in done.stdout
    assert done.stdout.splitlines()[0] in text
    assert "papermill 2." in text
    assert [path.name for path in tmp_path.iterdir()] == ["results.md"]


@pytest.mark.kernel
def test_a_tool_that_fails_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "broken.ipynb"
    path.write_text(write(WORKLOADS["trivial"], tmp_path).read_text("utf-8").replace("1 + 1", "1 / 0"), "utf-8")
    with Tool("nbprod", path, tmp_path / "nbprod") as tool, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        tool.execute()


def test_ratios_are_taken_round_by_round() -> None:
    measured = result((8.0, 4.0, 40.0), (2.0, 1.0, 10.0))
    assert measured.speedup.values == (4.0, 4.0, 4.0)
    assert measured.memory_ratio.median == 0.5
    assert measured.met is False


def test_what_papermill_failed_at_is_said_and_does_not_count() -> None:
    measured = result((None, 8.0), (1.0, 2.0), name="flushed")
    cold = Cold(what="import", seconds={"papermill": Samples((1.0,)), "nbprod": Samples((1.0,))})
    assert measured.speedup.median == 4.0
    assert "8.00 (8.00 to 8.00), 1 of 2 FAILED" in page([measured], [cold], (0.1, 0.2))
    assert "2 of 2 FAILED" in page([result((None, None), (1.0, 2.0))], [cold], (0.1, 0.2))


def test_a_missed_target_is_said() -> None:
    missed = result((7.0,), (2.0,))
    cold = Cold(what="import", seconds=missed.seconds)
    assert missed.met is False
    assert "15: MISSED" in page([missed], [cold], (0.1, 0.2))
    assert "15: met" in page([result((30.0,), (2.0,))], [cold], (0.1, 0.2))
    assert "40: not yet" in page([result((30.0,), (2.0,))], [cold], (0.1, 0.2))
    assert result((9.0,), (2.0,), name="flushed").met is None


def test_peak_sees_what_children_hold() -> None:
    held = "import time; held = bytearray(60_000_000); time.sleep(0.5)"
    with Peak(os.getpid()) as without:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], check=True)
    with Peak(os.getpid()) as peak:
        subprocess.run([sys.executable, "-c", held], check=True)
    assert peak.bytes - without.bytes > 40_000_000


def test_the_notebooks_are_valid_and_new_cells_have_ids(tmp_path: Path) -> None:
    import nbformat

    for workload in WORKLOADS.values():
        node = nbformat.read(write(workload, tmp_path), as_version=4)
        nbformat.validate(node)
        assert len(node.cells) == len(workload.cells) + 1
    assert files_in(tmp_path)[0] == len(WORKLOADS)
