"""Measures nbprod beside papermill on the same notebooks, prints a table and writes benchmarks/results.md.

python -m benchmarks.run [--quick] [--only NAME …] [--rounds N] [--results FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import Samples, Tool, cold
from benchmarks.notebooks import WORKLOADS, Workload, script_of, write
from benchmarks.plot import plot
from benchmarks.report import Cold, Result, cold_table, others_table, page, table

TOOLS = ("papermill", "nbprod")
OTHERS = ("ploomber", "exec")
"""What a user could pick instead, and the floor; only their seconds are measured."""
WARMING = 3
"""Executions before the first that counts: a warm process is one that has done this before."""
RESULTS = Path(__file__).with_name("results.md")
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "benchmarks.png"


def say(text: str) -> None:
    """Tell on stderr how far it is."""
    print(text, file=sys.stderr, flush=True)


def brief(seconds: float | None) -> str:
    """Return seconds for people."""
    return "failed" if seconds is None else f"{seconds:.2f} s"


def warm(workload: Workload, folder: Path, rounds: int, memory_rounds: int, warming: int = WARMING) -> Result:
    """Measure one workload in warm processes, the tools in turns."""
    notebook = write(workload, folder)
    with ExitStack() as stack:
        every = [*TOOLS, *OTHERS]
        tools = [stack.enter_context(Tool(name, notebook, folder / workload.name / name)) for name in every]
        for tool in tools:
            for _ in range(warming):
                tool.execute()
        seconds: dict[str, list[float | None]] = {name: [] for name in every}
        for number in range(rounds):
            for tool in tools if number % 2 == 0 else reversed(tools):
                seconds[tool.name].append(tool.execute())
            last = ", ".join(f"{name} {brief(values[-1])}" for name, values in seconds.items())
            say(f"  {workload.name} {number + 1}/{rounds}: {last}")
        memory: dict[str, list[float | None]] = {name: [] for name in TOOLS}
        ours = tools[: len(TOOLS)]
        for _ in range(memory_rounds):
            for tool in ours:
                memory[tool.name].append(tool.execute_for_memory())
        files = {tool.name: tool.execute_for_files() for tool in ours}
    return Result(
        workload=workload,
        seconds={name: Samples(tuple(values)) for name, values in seconds.items()},
        memory={name: Samples(tuple(values)) for name, values in memory.items()},
        files=files,
    )


def cold_processes(folder: Path, rounds: int, *, quick: bool = False) -> list[Cold]:
    """Measure imports and notebooks by command lines, in turns; if quick, without pandas and scikit-learn."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.nbprod]\n", "utf-8")
    trivial, science = (str(write(WORKLOADS[name], folder)) for name in ("trivial", "science"))
    script = folder / "science.py"
    script.write_text(script_of(WORKLOADS["science"]), "utf-8")
    python = sys.executable
    commands = {
        "import": {name: [python, "-c", f"import {name}"] for name in TOOLS},
        "what a script needs: `execute_notebook`, `nbprod.run`": {
            "papermill": [python, "-c", "from papermill import execute_notebook"],
            "nbprod": [python, "-c", "from nbprod import run"],
        },
        "`--help`": {name: [python, "-m", name, "--help"] for name in TOOLS},
        "the trivial notebook by the command line": _commands(python, trivial),
        "pandas, scikit-learn, three scraps by the command line": {
            **_commands(python, science),
            "script": [python, str(script)],
        },
    }
    notebooks = (("trivial", trivial), ("science", science))
    if quick:
        notebooks = notebooks[:1]
        commands = {what: by_tool for what, by_tool in commands.items() if "script" not in by_tool}
    found = []
    for what, by_tool in commands.items():
        say(f"  {what}")
        seconds = _in_turns(by_tool, folder, rounds)
        found.append(Cold(what=what, seconds=seconds))
    warming = [python, "-m", "nbprod", "warm"]
    for what, notebook in notebooks:
        say(f"  {what}, with `nbprod warm start`")
        cold([*warming, "start", notebook], folder)
        try:
            both = {name: command for name, command in _commands(python, notebook).items() if name in TOOLS}
            seconds = _in_turns(both, folder, rounds)
        finally:
            cold([*warming, "stop"], folder)
        found.append(Cold(what=f"{WORKLOADS[what].about}, after `nbprod warm start`", seconds=seconds))
    return found


def _commands(python: str, notebook: str) -> dict[str, list[str]]:
    return {
        "papermill": [python, "-m", "papermill", "--no-progress-bar", notebook, "by-papermill.ipynb"],
        "nbprod": [python, "-m", "nbprod", "run", notebook, "by-nbprod.ipynb"],
        "jupyter execute": [python, "-m", "jupyter", "execute", "--output=by-jupyter.ipynb", notebook],
    }


def _in_turns(by_tool: Mapping[str, Sequence[str]], folder: Path, rounds: int) -> dict[str, Samples]:
    for command in by_tool.values():
        cold(command, folder)  # what is compiled and cached once
    seconds: dict[str, list[float | None]] = {name: [] for name in by_tool}
    for _ in range(rounds):
        for name, command in by_tool.items():
            seconds[name].append(cold(command, folder))
    return {name: Samples(tuple(values)) for name, values in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a target was missed, unless `--quick`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of the trivial notebook: does it work at all")
    parser.add_argument("--only", nargs="+", choices=[*WORKLOADS], help="only these notebooks")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: 5)")
    parser.add_argument(
        "--results", type=Path, help="where to write the page (default: benchmarks/results.md if all ran)"
    )
    options = parser.parse_args(arguments)
    names = options.only or (["trivial"] if options.quick else [*WORKLOADS])
    rounds, memory_rounds = (1, 1) if options.quick else (options.rounds, 2)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="nbprod-bench-") as folder:
        results = []
        for name in names:
            say(f"{WORKLOADS[name].about}")
            warming = 1 if options.quick else WARMING
            results.append(warm(WORKLOADS[name], Path(folder), rounds, memory_rounds, warming))
        say("cold processes")
        colds = cold_processes(Path(folder) / "cold", rounds, quick=options.quick)
    print(table(results))
    print(others_table(results))
    print(cold_table(colds))
    target = options.results or (RESULTS if names == [*WORKLOADS] else None)
    if target is not None:
        target.write_text(page(results, colds, (before, os.getloadavg()[0])), "utf-8")
        say(f"written: {target}")
    if target == RESULTS:
        plot(results, PICTURE)
        say(f"written: {PICTURE}")
    return 1 if not options.quick and any(result.met is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
