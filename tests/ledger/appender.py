"""A process that appends complete runs: `python -m tests.ledger.appender LEDGER RUNS [honest|hasty]`.

With the third word, each event's run and kind stand on stdout once it is appended; `hasty`, the positive control, says
so before. Else the seconds that it took stand there.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime

from nbprod.ledger import open_ledger
from nbprod.record.ids import RunId
from tests.telling import finished, started


def main(url: str, runs: str, telling: str | None = None) -> None:
    ledger = open_ledger(url)
    begin = time.monotonic()
    for number in range(int(runs)):
        run_id = RunId.new(datetime.now(UTC), os.urandom(10))
        for event in (started(run_id, parameters={"number": number}), finished(run_id, scraps={"auc": number / 7})):
            if telling == "hasty":
                tell(f"{run_id} {type(event).__name__}")
            ledger.append(event)
            if telling == "honest":
                tell(f"{run_id} {type(event).__name__}")
    ledger.close()
    if telling is None:
        tell(f"{time.monotonic() - begin:.1f}")


def tell(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
