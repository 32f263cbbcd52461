"""The results as a table and as a page."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Samples
from benchmarks.notebooks import Workload

__all__ = ["Cold", "Result", "cold_table", "others_table", "page", "table"]

VERSIONS = ("nbprod", "papermill", "nbclient", "jupyter-client", "ipykernel", "nbformat", "ploomber-engine")
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one workload cost; keys are the tools' names.

    Args:
        seconds: a value per round.
        memory: bytes, a value per round of its own.
        files: how many files one run left, and their bytes.
    """

    workload: Workload
    seconds: Mapping[str, Samples]
    memory: Mapping[str, Samples]
    files: Mapping[str, tuple[int, int]]

    @property
    def speedup(self) -> Samples:
        """The seconds of papermill over nbprod's, round by round."""
        return self.seconds["papermill"].over(self.seconds["nbprod"])

    @property
    def memory_ratio(self) -> Samples:
        """The peak of nbprod over papermill's, round by round."""
        return self.memory["nbprod"].over(self.memory["papermill"])

    @property
    def met(self) -> bool | None:
        """Whether the median speed-up reaches the workload's target; None without one."""
        speedup = self.speedup.median
        return None if self.workload.target is None or speedup is None else speedup >= self.workload.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """Cold processes: what was started, and the seconds of both."""

    what: str
    seconds: Mapping[str, Samples]


def _spread(samples: Samples) -> str:
    failed = samples.values.count(None)
    lost = f"{failed} of {len(samples.values)} FAILED"
    if not samples.good:
        return lost
    text = f"{samples.median:.2f} ({min(samples.good):.2f} to {max(samples.good):.2f})"
    return f"{text}, {lost}" if failed else text


def _mebibytes(samples: Samples) -> str:
    return "" if samples.median is None else f"{samples.median / MEBIBYTE:.0f}"


def _target(result: Result) -> str:
    return "" if result.met is None else f"{result.workload.target:g}: {'met' if result.met else 'MISSED'}"


def _aim(result: Result) -> str:
    speedup = result.speedup.median
    if result.workload.aim is None or speedup is None:
        return ""
    return f"{result.workload.aim:g}: {'met' if speedup >= result.workload.aim else 'not yet'}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def table(results: Sequence[Result]) -> str:
    """Return a Markdown table: seconds, speed-up, peak memory and files of each workload."""
    head = ("notebook", "papermill s", "nbprod s", "times as fast", "at least", "aim", "papermill MiB", "nbprod MiB",
            "ratio", "files (MB) papermill", "files (MB) nbprod")  # fmt: skip
    rows = [
        (
            result.workload.about,
            _spread(result.seconds["papermill"]),
            _spread(result.seconds["nbprod"]),
            _spread(result.speedup),
            _target(result),
            _aim(result),
            _mebibytes(result.memory["papermill"]),
            _mebibytes(result.memory["nbprod"]),
            "" if result.memory_ratio.median is None else f"{result.memory_ratio.median:.2f}",
            *(f"{result.files[tool][0]} ({result.files[tool][1] / 1e6:.1f})" for tool in ("papermill", "nbprod")),
        )
        for result in results
    ]
    return _rows(head, rows)


def others_table(results: Sequence[Result]) -> str:
    """Return a Markdown table of what else could be picked, and of the floor."""
    measured = [result for result in results if "exec" in result.seconds]
    rows = [
        (
            result.workload.about,
            _spread(result.seconds["nbprod"]),
            _spread(result.seconds["ploomber"]),
            _spread(result.seconds["exec"]),
        )
        for result in measured
    ]
    return _rows(("notebook", "nbprod s", "ploomber-engine s, in its own process", "exec s, no notebook"), rows)


def cold_table(cold: Sequence[Cold]) -> str:
    """Return a Markdown table of what cold processes take."""
    rows = [
        (
            entry.what,
            _spread(entry.seconds["papermill"]),
            _spread(entry.seconds["nbprod"]),
            _spread(entry.seconds["papermill"].over(entry.seconds["nbprod"])),
            *(_spread(entry.seconds[name]) if name in entry.seconds else "" for name in ("jupyter execute", "script")),
        )
        for entry in cold
    ]
    head = ("cold process", "papermill s", "nbprod s", "times as fast", "jupyter execute s", "python script.py s")
    return _rows(head, rows)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def page(results: Sequence[Result], cold: Sequence[Cold], load: tuple[float, float]) -> str:
    """Return the whole page: what was measured on what, and how.

    Args:
        results: one per workload.
        cold: the cold processes.
        load: the machine's one-minute load average before and after.
    """
    rounds = {len(result.seconds["nbprod"].values) for result in results}
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return f"""\
# Benchmarks: nbprod beside papermill

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; the notebooks are made by `benchmarks/notebooks.py`.

- Machine: {_processor()}, {os.cpu_count()} CPUs; {platform.system()} {platform.release()}; load average {load[0]:.1f}
  before and {load[1]:.1f} after (this benchmark's own work included).
- Versions: Python {platform.python_version()} ({sys.implementation.name}), {versions}.
- Warm: each tool in a process of its own with executions before the first that counts; then {_and(rounds)} rounds in
  turns (papermill, nbprod, nbprod, papermill …), so that the machine's noise meets both. Each execution has a fresh
  kernel, which nbprod forks from a server that has seen the notebook's imports (three executions come before the first
  that counts). papermill: `execute_notebook`, progress bar off. nbprod: `nbprod.run`, the full record in store and
  ledger, and the executed notebook besides.
- Seconds are medians (least to most). `times as fast` is papermill's seconds over nbprod's, the median over rounds.
- A tool that raised an error has FAILED, and its seconds don't count (nbclient, which papermill uses, gives a cell four
  seconds to deliver its output after it has ended).
- Memory is the peak of the proportional set size of the tool's process tree (kernel and supervisor included), sampled
  every 30 ms in rounds of their own; medians.
- Files are what one run leaves (in nbprod's case: executed notebook, store, ledger, run folder).

{table(results)}
ploomber-engine executes every run in the interpreter that it is called in; `exec` is the code alone, in a warm
interpreter.

{others_table(results)}
Cold commands start with nothing running. `jupyter execute` is nbclient's own; `python script.py` is the code alone.

{cold_table(cold)}"""


def _and(numbers: set[int]) -> str:
    return " or ".join(str(number) for number in sorted(numbers))
