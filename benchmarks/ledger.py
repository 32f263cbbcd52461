"""Measures the ledger: appends by many processes, and queries on a million runs; writes benchmarks/ledger-results.md.

python -m benchmarks.ledger [--runs N] [--rounds N] [--only append|query] [--results FILE]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.filled import BEGIN, RARE, SPAN, Sizes, fill_postgresql, fill_sqlite
from benchmarks.ledger_appender import finished, started
from nbprod.ledger import Order, RunQuery, open_ledger, parse_condition
from nbprod.ledger.events import Event
from nbprod.ledger.ledger import Ledger, StoredEvent
from nbprod.ledger.transfer import exported, import_lines
from nbprod.record.status import Status
from tests.postgres import PostgresServer

RESULTS = Path(__file__).with_name("ledger-results.md")
PAGE = 21
"""What `nbprod runs` asks for: a table of twenty, and whether there is more."""

BIG_PAGE = 200
"""What one request fetches where all are wanted."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured.

    Args:
        wanted: the target, in the unit; None without one.
        at_least: whether more is better.
    """

    what: str
    value: float
    unit: str
    spread: str = ""
    wanted: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        if self.wanted is None:
            return True
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted

    def row(self) -> str:
        """Return a line of a Markdown table."""
        sign = "≥" if self.at_least else "≤"
        target = "" if self.wanted is None else f"{sign} {self.wanted:g}: {'met' if self.met else 'MISSED'}"
        return (
            f"| {self.what} | {self.value:,.{0 if self.value >= 100 else 1}f} {self.unit} | {self.spread} | {target} |"  # noqa: PLR2004 - digits
        )


def say(text: str) -> None:
    """Tell on stderr how far it is."""
    print(text, file=sys.stderr, flush=True)


def appending(url: Callable[[], str], *, processes: int, runs: int, rounds: int, wanted: float | None) -> Figure:
    """Measure complete runs per second, two durable commits each, into a new ledger each round."""
    rates = []
    for _ in range(rounds):
        address = url()
        open_ledger(address).close()
        command = [sys.executable, "-m", "benchmarks.ledger_appender", address, str(runs)]
        started_ = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        pipes = [(process.stdin, process.stdout) for process in started_]
        for _, told in pipes:
            assert told is not None
            assert told.readline() == "ready\n"
        begun = time.monotonic()
        for go, _ in pipes:
            assert go is not None
            go.write("\n")
            go.flush()
        for _, told in pipes:
            assert told is not None
            assert told.readline()
        rates.append(processes * runs / (time.monotonic() - begun))
        for process in started_:
            process.communicate()
    name = address.partition(":")[0].partition("+")[0]
    what = f"{name}: complete runs appended by {processes} process{'es' if processes > 1 else ''}"
    return Figure(what, statistics.median(rates), "runs/s", _range(rates, 0), wanted, at_least=True)


def batches(url: Callable[[], str], *, runs: int, rounds: int, wanted: float) -> Figure:
    """Measure events per second that `nbprod ledger import` takes over."""
    rates = []
    source: list[Event] = []
    for number in range(runs):
        event = started(number)
        source += [event, finished(event.run_id, number)]
    lines = list(_lines(source))
    for _ in range(rounds):
        address = url()
        ledger = open_ledger(address)
        begun = time.monotonic()
        import_lines(ledger, lines)
        rates.append(len(lines) / (time.monotonic() - begun))
        ledger.close()
    name = address.partition(":")[0].partition("+")[0]
    return Figure(f"{name}: events in batches", statistics.median(rates), "events/s", _range(rates, 0), wanted, True)


def _lines(source: Sequence[Event]) -> Iterator[bytes]:
    class Told:
        def events(self) -> Iterator[StoredEvent]:
            return (StoredEvent(number, event) for number, event in enumerate(source, 1))

    return exported(Told())  # type: ignore[arg-type] - all that it asks of a ledger


def queries(sizes: Sizes) -> dict[str, RunQuery]:
    """Return what people ask `nbprod runs` for, by its options."""
    middle = BEGIN + SPAN / 2
    where = {
        text: RunQuery(where=(parse_condition(text),), limit=PAGE)
        for text in ("params.carrier=UA", "params.alpha<0.001", "scraps.auc>=0.7", "scraps.auc>0.99", "params.day=4711")
    }
    sorts = ("started", "seconds", "-seconds", "step", "-finished", "status", "-scraps.auc", "params.alpha")
    return {
        "(no option)": RunQuery(limit=PAGE),
        "--step train": RunQuery(steps=("train",), limit=PAGE),
        "--step train --step churn": RunQuery(steps=("train", "churn"), limit=PAGE),
        "--status succeeded": RunQuery(statuses=(Status.SUCCEEDED,), limit=PAGE),
        "--status kernel_died": RunQuery(statuses=(Status.KERNEL_DIED,), limit=PAGE),
        "--status crashed (none)": RunQuery(statuses=(Status.CRASHED,), limit=PAGE),
        "--running": RunQuery(running=True, limit=PAGE),
        "--since, --until a day in the middle": RunQuery(since=middle, until=middle + timedelta(days=1), limit=PAGE),
        "--step train --status failed --until": RunQuery(
            steps=("train",), statuses=(Status.FAILED,), until=middle, limit=PAGE
        ),
        "--tag nightly": RunQuery(tags=("nightly",), limit=PAGE),
        "--tag keep": RunQuery(tags=("keep",), limit=PAGE),
        "--tag nothing": RunQuery(tags=("nothing",), limit=PAGE),
        "--approved (nobody said anything)": RunQuery(reviewed=True, limit=PAGE),
        **{f"--where {text}": query for text, query in where.items()},
        "--step sweep --where scraps.auc>0.9": RunQuery(
            steps=("sweep",), where=(parse_condition("scraps.auc>0.9"),), limit=PAGE
        ),
        "--text trai": RunQuery(text="trai", limit=PAGE),
        f"--text {RARE}": RunQuery(text=RARE, limit=PAGE),
        "--text nothing-like-it": RunQuery(text="nothing-like-it", limit=PAGE),
        **{f"--sort {sort}": RunQuery(order=Order.parse(sort), limit=PAGE) for sort in sorts},
        "--step sweep --sort -scraps.auc": RunQuery(steps=("sweep",), order=Order.parse("-scraps.auc"), limit=PAGE),
        "runs of one flow run": RunQuery(flow_run=f"flow-{sizes.runs // 12}", limit=PAGE),
    }


def asking(ledger: Ledger, name: str, sizes: Sizes, *, rounds: int) -> Iterator[Figure]:
    """Measure each query, then every page of all runs, and the scraps of a step."""
    for what, query in queries(sizes).items():
        taken = []
        for _ in range(rounds):
            begun = time.perf_counter()
            found = sum(1 for _ in ledger.runs(query))
            taken.append((time.perf_counter() - begun) * 1e3)
        yield Figure(f"{name}: `{what}` ({found} found)", statistics.median(taken), "ms", _range(taken, 1), 50)
    yield from _every_page(ledger, name)
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        found = sum(1 for _ in ledger.runs(RunQuery(steps=("sweep",), running=False)))
        taken.append(time.perf_counter() - begun)
    yield Figure(f"{name}: scraps of a step, {found:,} runs", statistics.median(taken), "s", _range(taken, 2), 1)


def _every_page(ledger: Ledger, name: str) -> Iterator[Figure]:
    before, taken, count = _peak(), [], 0
    begun = time.perf_counter()
    for count, _ in enumerate(ledger.runs(RunQuery()), 1):
        if count % BIG_PAGE == 0:
            now = time.perf_counter()
            taken.append((now - begun) * 1e3)
            begun = now
    label = f"{name}: {len(taken):,} pages of {BIG_PAGE}, all {count:,} runs"
    ordered = sorted(taken)
    yield Figure(f"{label}: median page", statistics.median(taken), "ms", _range(taken, 1), 50)
    yield Figure(f"{label}: page at the 99th percentile", ordered[int(len(ordered) * 0.99)], "ms", "", 50)
    yield Figure(f"{label}: growth of the process's greatest memory", (_peak() - before) / 1024, "MiB", "", 20)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _range(values: Sequence[float], digits: int) -> str:
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell how long something took."""
    begun = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - begun:.0f} s")


def measure(options: argparse.Namespace, folder: Path) -> Iterator[Figure]:
    """Measure all that was asked for."""
    sizes = Sizes(runs=options.runs)
    with PostgresServer(durable=True) as server:
        if options.only != "query":
            numbers = iter(range(1000))
            new_sqlite = lambda: f"sqlite:///{folder / f'{next(numbers)}.db'}"  # noqa: E731
            new_postgres = lambda: server.url(server.database())  # noqa: E731
            each = max(options.runs // 4000, 10)
            yield appending(new_postgres, processes=8, runs=each, rounds=options.rounds, wanted=300)
            yield appending(new_postgres, processes=1, runs=each, rounds=options.rounds, wanted=None)
            yield appending(new_sqlite, processes=1, runs=each, rounds=options.rounds, wanted=None)
            yield batches(new_postgres, runs=each * 10, rounds=options.rounds, wanted=5000)
            yield batches(new_sqlite, runs=each * 10, rounds=options.rounds, wanted=5000)
        if options.only != "append":
            name = server.database()
            ledger = open_ledger(server.url(name))
            with timed("filling PostgreSQL"):
                fill_postgresql(server.conninfo(name), sizes)
            yield from asking(ledger, "postgresql", sizes, rounds=options.rounds)
            ledger.close()
    if options.only != "append":
        path = folder / "many.db"
        ledger = open_ledger(f"sqlite:///{path}")
        with timed("filling SQLite"):
            fill_sqlite(str(path), sizes)
        yield from asking(ledger, "sqlite", sizes, rounds=options.rounds)
        ledger.close()


def page(figures: Sequence[Figure], runs: int, load: tuple[float, float]) -> str:
    """Return the whole page."""
    rows = "\n".join(figure.row() for figure in figures)
    return f"""\
# Benchmarks: the ledger

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.

- Machine: {os.cpu_count()} CPUs; {platform.system()} {platform.release()}; load average {load[0]:.1f} before and
  {load[1]:.1f} after. Server and clients share it.
- PostgreSQL with its own settings, `fsync` on, on the same disk as SQLite.
- Appends: each run is two events, each committed durably by itself, with the index; new ledgers each round.
- Queries: a ledger of {runs:,} runs over 700 days, eleven steps, with three parameters and two scraps each, filled by
  SQL (`benchmarks/filled.py`); one row of the table is what `nbprod runs` asks the ledger for, and the reading of its
  rows; medians (least to most).

| what | measured | least to most | target |
| --- | --- | --- | --- |
{rows}
"""


def measured(
    measure: Callable[[Path], Iterable[Figure]],
    page: Callable[[Sequence[Figure], tuple[float, float]], str],
    target: Path | None,
) -> list[Figure]:
    """Measure in a temporary folder, print each figure as it comes, and write the page.

    Args:
        measure: takes the folder.
        page: returns the page of the figures, and of the load before and after.
        target: where it is written; None: nowhere.
    """
    before, figures = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory(prefix="nbprod-bench-") as folder:
        for figure in measure(Path(folder)):
            figures.append(figure)
            print(figure.row(), flush=True)
    if target is not None:
        target.write_text(page(figures, (before, os.getloadavg()[0])), "utf-8")
        say(f"written: {target}")
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a target was missed on the full size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000, help="runs in the ledger that is queried")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["append", "query"])
    parser.add_argument("--results", type=Path, help="where to write the page (default: if all was measured)")
    options = parser.parse_args(arguments)
    whole = options.runs >= 1_000_000 and options.only is None  # noqa: PLR2004 - the full size
    figures = measured(
        partial(measure, options),
        lambda figures, loads: page(figures, options.runs, loads),
        options.results or (RESULTS if whole else None),
    )
    return 1 if whole and not all(figure.met for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
