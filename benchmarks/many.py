"""Many runs at once: a Prefect flow's `.map`, the memory of kernels side by side, a sweep. Writes many-results.md.

python -m benchmarks.many [--results FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from benchmarks.measure import ROOT

RESULTS = Path(__file__).with_name("many-results.md")
RUNS, FEWER = 100, 20
PANDAS = "import pandas, time\nframe = pandas.DataFrame({'a': range(1000)})\nframe.describe()\ntime.sleep(4)"
MEBIBYTE = 1 << 20

FLOW = """
import sys, time
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

tool, count, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if tool == "nbprod":
    from nbprod.flow import notebook
    step = notebook("trivial.ipynb", root=root)
else:
    from papermill import execute_notebook

    @task
    def step(alpha):
        output = f"{root}/by-papermill-{alpha}.ipynb"
        execute_notebook(f"{root}/trivial.ipynb", output, {"alpha": alpha}, progress_bar=False)

@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
def several(first, last):
    step.map(alpha=list(range(first, last))).result()

several(0, 4)
begun = time.perf_counter()
several(4, 4 + count)
print(f"SECONDS {time.perf_counter() - begun}", flush=True)
"""


def notebook_in(root: Path, *cells: str) -> Path:
    """Make a project with a notebook `trivial.ipynb` in a folder."""
    import nbformat  # noqa: PLC0415 - takes a while
    from nbformat.v4 import new_code_cell, new_notebook  # noqa: PLC0415

    root.mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.nbprod]\n", "utf-8")
    declared = new_code_cell("alpha: int = 0", metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = new_notebook(cells=[declared, *map(new_code_cell, cells)], metadata={"kernelspec": kernel})
    nbformat.write(made, root / "trivial.ipynb")
    return root / "trivial.ipynb"


def flows(folder: Path) -> list[str]:
    """Measure runs per second of a mapped trivial notebook under Prefect's thread runner, nbprod and papermill."""
    from nbprod.flow.server import LocalServer  # noqa: PLC0415

    script = folder / "flow.py"
    script.write_text(FLOW, "utf-8")
    rates: dict[str, list[float]] = {"nbprod": [], "papermill": []}
    with LocalServer(folder / "prefect", os.environ) as server:
        environ = {**os.environ, **server.client_environ, "PREFECT_LOGGING_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
        server.wait()
        for number in range(3):
            for tool, count in (("papermill", FEWER), ("nbprod", RUNS)):
                root = folder / f"{tool}-{number}"
                notebook_in(root, "alpha + 1")
                command = [sys.executable, str(script), tool, str(count), str(root)]
                done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
                seconds = float(done.stdout.partition("SECONDS ")[2])
                rates[tool].append(count / seconds)
                print(f"  {tool}: {count} runs in {seconds:.1f} s", file=sys.stderr, flush=True)
    ours, theirs = median(rates["nbprod"]), median(rates["papermill"])
    met = "met" if ours >= 5 else "MISSED"  # noqa: PLR2004 - the promise
    return [
        f"| {RUNS} trivial runs mapped in a flow's threads, nbprod | {_of(rates['nbprod'])} runs/s | ≥ 5: {met} |",
        f"| {FEWER} trivial runs mapped so, papermill | {_of(rates['papermill'])} runs/s | |",
        f"| nbprod's rate over papermill's | {ours / theirs:.1f} | |",
    ]


def _of(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def below(pid: int) -> int:
    """Return the proportional set size of all processes below one, in bytes."""
    total = 0
    for process in psutil.Process(pid).children(recursive=True):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def memory(folder: Path) -> list[str]:
    """Measure eight pandas kernels at once, with all that is below the runner: server, branch, keepers, spares."""
    import nbprod  # noqa: PLC0415

    path = notebook_in(folder / "memory", PANDAS)
    project = nbprod.Project.find(path.parent)
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            peak[0] = max(peak[0], below(os.getpid()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda n: nbprod.run(path, {"alpha": n}, project=project), range(8)))
    done.set()
    watcher.join()
    for run in runs:
        run.raise_for_status()
    project.close()
    met = "met" if peak[0] < 500 * MEBIBYTE else "MISSED"
    return [f"| 8 pandas kernels at once with their server (PSS) | {peak[0] / MEBIBYTE:.0f} MiB | < 500: {met} |"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write (default: many-results.md)")
    options = parser.parse_args(arguments)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="nbprod-bench-") as name:
        folder = Path(name)
        lines = [*memory(folder), *flows(folder)]
    text = f"""\
# Benchmarks: many runs

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} CPUs, load average {before:.1f}
before and {os.getloadavg()[0]:.1f} after. Medians of three rounds in turns (least to most); each has its full record.

| what | measured | promise |
|---|---|---|
{chr(10).join(lines)}
"""
    print(text)
    options.results.write_text(text, "utf-8")
    return 1 if "MISSED" in text else 0


if __name__ == "__main__":
    sys.exit(main())
