"""What the fault tests count: each states what it wanted and reached, and `make torture` writes it down.

With TORTURE_RESULTS=FILE in the environment, the figures of this run replace those of the same name in FILE.
TORTURE_KILLS says how often processes are killed.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

__all__ = ["FIGURES", "Count", "counting", "kills_of", "write_results"]

HEAD = ("what", "wanted", "reached", "came of it", "seconds", "seed", "when (UTC)", "nbprod, Python, CPUs")
KILLS = int(os.environ.get("TORTURE_KILLS", "1000"))
"""How often processes are killed by `make torture`, by all tests together."""
SHARES = {"runner": 6, "forked": 35, "started": 20, "ledger": 20, "store": 17, "prefect": 2}
"""Each test's share of them, in percent."""
FIGURES: list[Count] = []


def kills_of(test: str) -> int:
    """Return how many of the kills are a test's."""
    assert sum(SHARES.values()) == 100
    return math.ceil(KILLS * SHARES[test] / 100)


@dataclass
class Count:
    """A figure in the making.

    Args:
        name: what is counted.
        wanted: how many.
        seed: of the dice, the least of several; None without any.
        reached: how many so far.
        came: how often each thing came of it.
    """

    name: str
    wanted: int
    seed: int | None = None
    reached: int = 0
    came: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    failed: bool = False

    def add(self, came: str, count: int = 1) -> None:
        """Count one more, and what came of it."""
        self.reached += count
        self.came[came] = self.came.get(came, 0) + count

    def row(self) -> tuple[str, ...]:
        told = ", ".join(f"{number:,} {what}" for what, number in sorted(self.came.items()))
        reached = f"{self.reached:,}{' FAILED' if self.failed else ''}"
        seed = "" if self.seed is None else str(self.seed)
        with_ = f"{version('nbprod')}, {platform.python_version()}, {os.cpu_count()}"
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        return (self.name, f"{self.wanted:,}", reached, told, f"{self.seconds:,.0f}", seed, now, with_)


@contextmanager
def counting(name: str, wanted: int, *, seed: int | None = None) -> Iterator[Count]:
    """Count something; fail where fewer were reached than wanted."""
    count, begun = Count(name, wanted, seed), time.monotonic()
    FIGURES.append(count)
    count.failed = True
    try:
        yield count
        assert count.reached >= wanted, f"{name}: {count.reached} of {wanted}"
        count.failed = False
    finally:
        count.seconds = time.monotonic() - begun


def write_results(path: Path) -> None:
    """Write the figures of this run in the place of those of the same name; others stay, with their dates."""
    rows: dict[str, tuple[str, ...]] = dict(_rows(path.read_text("utf-8")) if path.exists() else {})
    rows |= {count.name: count.row() for count in _together()}
    lines = [HEAD, tuple("---" for _ in HEAD), *(rows[name] for name in sorted(rows))]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    path.write_text(
        "# Fault figures\n\nWritten by `make torture`: what came of each when it was counted last. A row that reached"
        " what was\nwanted is counted in full; one that reached less, or says `FAILED`, is not: something else came of"
        " it than\nshould, or it was not counted to its end. Each test has its positive control in the same file.\n\n"
        f"{table}\n",
        "utf-8",
    )


def _together() -> Iterator[Count]:
    """Yield the figures, those of one name as one."""
    for name in dict.fromkeys(count.name for count in FIGURES):
        parts = [count for count in FIGURES if count.name == name]
        seeds = [part.seed for part in parts if part.seed is not None]
        whole = Count(name, sum(part.wanted for part in parts), min(seeds, default=None))
        for part in parts:
            for came, number in part.came.items():
                whole.add(came, number)
        whole.seconds, whole.failed = sum(part.seconds for part in parts), any(part.failed for part in parts)
        yield whole


def _rows(text: str) -> Mapping[str, tuple[str, ...]]:
    told = [
        tuple(part.strip() for part in line.strip("|").split(" | ")) for line in text.splitlines() if line[:1] == "|"
    ]
    return {row[0]: row for row in told[2:] if len(row) == len(HEAD)}
