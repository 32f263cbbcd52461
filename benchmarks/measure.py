"""Measuring: a tool in its own process, the memory of a process tree, cold commands."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

import psutil

__all__ = ["Peak", "Samples", "Tool", "cold", "files_in"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Samples:
    """Measured values, in the order they were measured.

    Args:
        values: seconds, bytes or ratios; None for an execution that failed.
    """

    values: tuple[float | None, ...]

    @property
    def good(self) -> tuple[float, ...]:
        """The values of what did not fail."""
        return tuple(value for value in self.values if value is not None)

    @property
    def median(self) -> float | None:
        """The median of the good ones; None if all failed."""
        return median(self.good) if self.good else None

    def over(self, other: Samples) -> Samples:
        """Return this divided by the other, round by round: both of a round met the same noise."""
        pairs = zip(self.values, other.values, strict=True)
        return Samples(tuple(mine / its if mine is not None and its is not None else None for mine, its in pairs))


def _tree_bytes(root: psutil.Process) -> int:
    """Return the proportional set size of a process and all below it (shared pages are split, not counted twice)."""
    total = 0
    try:
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in tree:
        try:
            about = process.memory_full_info()
        except psutil.Error:  # it ended meanwhile
            continue
        total += getattr(about, "pss", about.rss)
    return total


class Peak:
    """Samples a process tree's memory while the `with` block lasts.

    Args:
        pid: the tree's root.
        interval: seconds between two samples.
    """

    def __init__(self, pid: int, interval: float = 0.03) -> None:
        self.bytes = 0
        self._root = psutil.Process(pid)
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak")

    def _sample(self) -> None:
        while not self._done.is_set():
            self.bytes = max(self.bytes, _tree_bytes(self._root))
            self._done.wait(self._interval)

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._done.set()
        self._thread.join()


def files_in(folder: Path) -> tuple[int, int]:
    """Return how many files a folder holds and their bytes."""
    sizes = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()]
    return len(sizes), sum(sizes)


class Tool:
    """A tool in a process of its own that executes one notebook again and again.

    Others are allowed to fail (a chatty cell can run into nbclient's four-second time-out): that is a result, too.
    """

    def __init__(self, name: str, notebook: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        # A project of its own, so that the one around is neither read nor written.
        (folder / "pyproject.toml").write_text("[tool.nbprod]\n", "utf-8")
        self.name = name
        self.folder = folder
        self._log = (folder.parent / f"{folder.name}.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(notebook), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
        )

    def execute(self) -> float | None:
        """Execute once; return the seconds that the tool's own process measured, None if another tool failed.

        Raises:
            RuntimeError: nbprod failed, or either tool's process died.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died: told below
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise RuntimeError(f"{self.name} failed:\n{self._log.read().decode(errors='replace')[-3000:]}")
        answer = json.loads(line)
        if answer["fault"] is None:
            return float(answer["seconds"])
        if self.name != "nbprod":
            return None
        raise RuntimeError(f"{self.name} failed: {answer['fault']}")

    def execute_for_memory(self) -> int | None:
        """Execute once; return the peak of the process tree's memory in bytes, None if another tool failed."""
        with Peak(self._process.pid) as peak:
            seconds = self.execute()
        return None if seconds is None else peak.bytes

    def execute_for_files(self) -> tuple[int, int]:
        """Execute once; return how many files that left, and their bytes."""
        before = files_in(self.folder)
        self.execute()
        after = files_in(self.folder)
        return after[0] - before[0], after[1] - before[1]

    def close(self) -> None:
        """End the tool's process."""
        self._process.communicate()
        self._log.close()

    def __enter__(self) -> Self:
        """Return the tool."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the tool's process."""
        self.close()


def cold(command: Sequence[str], cwd: Path) -> float:
    """Return the seconds that a command takes from its start to its end.

    Raises:
        RuntimeError: the command failed.
    """
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr.decode(errors='replace')[-3000:]}")
    return seconds
