"""A runner for tests to stop and let go on: its leases are short, and it may stop itself before OUTPUT is written.

Arguments: the project's root, the notebook, OUTPUT, seconds of a lease, and where it stops itself (`verdict`, or `-`).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import nbprod.runner.begin as beginning
from nbprod.errors import NbprodError
from nbprod.project import Project, RunOptions
from nbprod.runner import copies, leases


def tell(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    root, notebook, output, lease, point = sys.argv[1:]
    beginning.LEASE_SECONDS = leases.LEASE_SECONDS = float(lease)  # type: ignore[misc]
    leases._RENEW_EVERY = 0.1  # type: ignore[misc]
    leases._LISTEN_EVERY = 0.1  # type: ignore[misc]
    leave = copies.leave_output

    def stopped(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        leave(*arguments)

    if point == "verdict":
        copies.leave_output = stopped
    project = Project.find(Path(root), os.environ)
    job = project.job(project.step(Path(root, notebook)), {}, RunOptions(output=output))
    try:
        run = project.run_job(job, on_start=tell)
        tell(run.status)
    except NbprodError as error:
        tell(type(error).__name__)
    project.close()


if __name__ == "__main__":
    main()
