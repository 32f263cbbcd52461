"""A ledger with many runs, put there by SQL: through `append` a million would take an hour.

The index is as events would fill it; of the events there is only what the database's own rules ask for.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg

from nbprod.digest import canonical
from nbprod.ledger.moment import moment_text
from nbprod.record.ids import RunId

__all__ = ["BEGIN", "RARE", "SPAN", "SWEPT", "Sizes", "fill_postgresql", "fill_sqlite"]

STEPS = ("ingest", "features", "train", "evaluate", "score", "report", "billing", "churn", "stock", "prices")
SWEPT = 10_000
"""Runs of the step `sweep`, in a ledger that has so many."""

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=700)
RARE = "zanzibar"
"""A word in the note of ten runs."""

TABLES = {
    "events": ("run_id", "kind", "at", "body"),
    "runs": (
        "run_id", "reversed_id", "step", "notebook", "status", "reason", "started", "finished", "seconds", "name",
        "note", "parameters", "scraps", "request_digest", "record", "notebook_digest", "user_name", "host",
        "runner_pid", "lease_until", "folder", "search", "flow_run", "shared",
    ),
    "run_values": ("run_id", "kind", "name", "num", "text"),
    "run_tags": ("run_id", "tag"),
}  # fmt: skip
_BATCH = 20_000
_RUNNING, _FAILED = 0.00005, 0.03
_OTHERS = ("failed", "failed", "failed", "timed_out", "cancelled", "kernel_died")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What the ledger holds.

    Args:
        runs: how many runs.
    """

    runs: int

    @property
    def swept(self) -> int:
        """Return how many runs are of the step `sweep`."""
        return min(SWEPT, self.runs // 10)


def fill_sqlite(path: str, sizes: Sizes) -> None:
    """Fill a migrated, empty SQLite ledger."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = off")
    connection.execute("BEGIN")
    for tables in _batches(sizes):
        for name, rows in tables.items():
            columns = TABLES[name]
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", rows)
    connection.execute("COMMIT")
    connection.close()


def fill_postgresql(conninfo: str, sizes: Sizes) -> None:
    """Fill a migrated, empty PostgreSQL ledger; as the superuser, because it goes past the triggers."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET session_replication_role = replica")
        for tables in _batches(sizes):
            for name, rows in tables.items():
                statement = f"COPY {name} ({', '.join(TABLES[name])}) FROM STDIN"
                with connection.cursor().copy(statement) as copy:
                    for row in rows:
                        copy.write_row(row)
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")  # as the server's own autovacuum would, in time


def _batches(sizes: Sizes) -> Iterator[dict[str, list[Sequence[Any]]]]:
    every = range(sizes.runs)
    dice = random.Random(1)
    left = iter(every)
    sweeps = frozenset(range(0, sizes.runs, sizes.runs // sizes.swept)) if sizes.swept else frozenset()
    while numbers := list(islice(left, _BATCH)):
        tables: dict[str, list[Sequence[Any]]] = {name: [] for name in TABLES}
        for number in numbers:
            _add(tables, number, sizes.runs, dice, swept=number in sweeps)
        yield tables


def _add(tables: dict[str, list[Sequence[Any]]], number: int, of: int, dice: random.Random, *, swept: bool) -> None:
    began = BEGIN + SPAN * (number / of)
    run_id = RunId.new(began, dice.randbytes(10)).text
    step = "sweep" if swept else STEPS[dice.randrange(len(STEPS))]
    chance = dice.random()
    running = chance < _RUNNING
    status = None if running else _OTHERS[dice.randrange(6)] if chance < _FAILED else "succeeded"
    reason = None if running else "all cells ran" if status == "succeeded" else "ValueError: no rows left (cell 4)"
    seconds = None if running else round(dice.lognormvariate(2, 1), 3)
    started = moment_text(began)
    finished = None if seconds is None else moment_text(began + timedelta(seconds=seconds))
    parameters = {"alpha": round(dice.random(), 4), "carrier": dice.choice(("UA", "AA", "DL", "B6")), "day": number}
    scraps = {} if running else {"auc": round(dice.betavariate(7, 3), 5), "rows": dice.randrange(10**6)}
    note = f"to be looked at: {RARE}" if number % max(of // 10, 1) == of // 20 else None
    notebook = f"notebooks/{step}.ipynb"
    tags = ["nightly"] if number % 2 else ["nightly", "keep"] if number % 1000 == 0 else []
    digest = f"sha256:{hashlib.sha256(number.to_bytes(8)).hexdigest()}"
    search = "\n".join(part for part in (step, notebook, note, *sorted(tags), reason) if part).casefold()
    tables["events"].append((run_id, "RunStarted", started, "{}"))
    if not running:
        tables["events"].append((run_id, "RunFinished", finished, "{}"))
    tables["runs"].append((
        run_id, run_id[::-1], step, notebook, status, reason, started, finished, seconds, None,
        note, canonical(parameters).decode(), canonical(scraps).decode(), digest, None if running else digest,
        None if running else digest, "ada", f"worker-{number % 16}",
        4711, started if running else None, "work/one", search, f"flow-{number // 6}", 0,
    ))  # fmt: skip
    for kind, values in (("parameter", parameters), ("scrap", scraps)):
        for name, value in values.items():
            text = value if isinstance(value, str) else None
            tables["run_values"].append((run_id, kind, name, None if text else float(value), text))
    tables["run_tags"] += [(run_id, tag) for tag in tags]
