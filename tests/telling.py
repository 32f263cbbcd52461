"""Events with every field given, for tests to change the ones they are about; light enough for many processes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nbprod.digest import digest_bytes
from nbprod.ledger.events import RunFinished, RunStarted
from nbprod.record.ids import RunId
from nbprod.record.status import Status

DIGEST = digest_bytes(b"bytes")
START = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


def started(run_id: RunId, **fields: Any) -> RunStarted:
    given: dict[str, Any] = {
        "at": START,
        "step": "train",
        "notebook": "notebooks/train.ipynb",
        "request_digest": DIGEST,
        "parameters": {},
        "user": "ada",
        "host": "laptop",
        "runner_pid": 4711,
        "lease_seconds": 30.0,
        "folder": "work/one",
    }
    return RunStarted(run_id=run_id, **(given | fields))


def finished(run_id: RunId, status: Status = Status.SUCCEEDED, **fields: Any) -> RunFinished:
    given: dict[str, Any] = {"at": START, "reason": f"it {status}", "seconds": 1.5, "record": DIGEST}
    return RunFinished(run_id=run_id, status=status, **(given | fields))
