"""A process that appends complete runs: `python -m tests.ledger.appender LEDGER RUNS`."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime

from nbprod.ledger import open_ledger
from nbprod.record.ids import RunId
from tests.telling import finished, started


def main(url: str, runs: str) -> None:
    ledger = open_ledger(url)
    begin = time.monotonic()
    for number in range(int(runs)):
        run_id = RunId.new(datetime.now(UTC), os.urandom(10))
        ledger.append(started(run_id, parameters={"number": number}))
        ledger.append(finished(run_id, scraps={"auc": number / 7}))
    ledger.close()
    sys.stdout.write(f"{time.monotonic() - begin:.1f}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
