"""Prefect's worker as a child that ends with its parent: `python -m nbprod.flow.work PARENT POOL`."""

from __future__ import annotations

import os
import signal
import sys

from nbprod.execution.supervise import PR_SET_PDEATHSIG, prctl

__all__ = ["main"]


def main() -> None:
    """Become a process worker; on Linux it is told to stop when its parent is gone."""
    parent, pool = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # outlives the exec below
    if os.getppid() != parent:
        raise SystemExit("the parent is gone")
    worker = ["-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", f"worker of {parent}"]
    os.execv(sys.executable, [sys.executable, *worker])


if __name__ == "__main__":
    main()
