"""A process that appends complete runs: `python appender.py LEDGER RUNS`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from conftest import finished, started

from nbprod.ledger import open_ledger
from nbprod.record.ids import RunId


def main(url: str, runs: str) -> None:
    ledger = open_ledger(url)
    for number in range(int(runs)):
        run_id = RunId.new(datetime.now(UTC), os.urandom(10))
        ledger.append(started(run_id, parameters={"number": number}))
        ledger.append(finished(run_id, scraps={"auc": number / 7}))
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
