"""A process that appends complete runs as the runner does: `python -m benchmarks.ledger_appender LEDGER RUNS`.

It says when it is ready, waits for a line, and then tells its seconds.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime

from nbprod.digest import digest_bytes
from nbprod.ledger import open_ledger
from nbprod.ledger.events import RunFinished, RunStarted
from nbprod.ledger.ledger import Ledger
from nbprod.record.ids import RunId
from nbprod.record.status import Status

__all__ = ["finished", "started"]

DIGEST = digest_bytes(b"a record")


def started(number: int) -> RunStarted:
    """Return a start with all that a notebook task in a flow gives it."""
    now = datetime.now(UTC)
    return RunStarted(
        at=now, run_id=RunId.new(now, os.urandom(10)), step="train", notebook="notebooks/train.ipynb",
        request_digest=digest_bytes(os.urandom(16)), parameters={"alpha": 0.5, "carrier": "UA", "number": number},
        user="ada", host="worker", runner_pid=os.getpid(), lease_seconds=30.0, tags=("nightly",), folder="work/one",
        occasion="nightly 2026-01-01 train-0", flow_run="0f4c", shared=True,
    )  # fmt: skip


def finished(run_id: RunId, number: int) -> RunFinished:
    """Return the verdict."""
    return RunFinished(
        at=datetime.now(UTC), run_id=run_id, status=Status.SUCCEEDED, reason="all cells ran", seconds=1.5,
        record=DIGEST, notebook=DIGEST, scraps={"auc": number / 7, "rows": number},
    )  # fmt: skip


def _append(ledger: Ledger, runs: int) -> None:
    for number in range(runs):
        event = started(number)
        ledger.append(event)
        ledger.append(finished(event.run_id, number))


def main(url: str, runs: str) -> None:
    ledger = open_ledger(url)
    _append(ledger, 20)  # connections, and what the server plans once
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.monotonic()
    _append(ledger, int(runs))
    print(time.monotonic() - begun, flush=True)
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
