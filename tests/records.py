"""A record with every field given, for tests to change the ones they are about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from nbprod.digest import digest_bytes
from nbprod.record.ids import RunId
from nbprod.record.request import RunRequest
from nbprod.record.run_record import Kept, RunRecord
from nbprod.record.status import Status
from nbprod.record.verdict import Verdict
from tests.telling import START

DIGEST = digest_bytes(b"bytes")
KEPT = Kept(digest=DIGEST, size=5)
RUN = RunId("01890000-0000-7000-8000-000000000000")


def a_record(**changes: Any) -> RunRecord:
    request = RunRequest(
        step="train",
        notebook="notebooks/train.ipynb",
        source=DIGEST,
        kernel="python3",
        parameters={},
        given=(),
        inputs=(),
        environment=DIGEST,
        limits={},
        contract={},
    )
    told: dict[str, Any] = {
        "run_id": RUN,
        "request": request,
        "verdict": Verdict(status=Status.SUCCEEDED, reason="it succeeded"),
        "notebook": KEPT,
        "source_file": KEPT,
        "journal": KEPT,
        "scraps": (),
        "artifacts": (),
        "environment_facts": None,
        "git": None,
        "user": "ada",
        "host": "laptop",
        "started": START,
        "finished": START + timedelta(seconds=2),
        "seconds": 1.5,
        "timezone": "UTC",
    }
    return RunRecord(**(told | changes))
