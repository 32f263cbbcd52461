"""Prefect's API server as a child process: `python -m nbprod.flow.serve SOCKET PARENT`. Ends with its parent.

It listens on a socket that the parent bound, so that no other process can take the port in between.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from nbprod.execution.supervise import PR_SET_PDEATHSIG, prctl

__all__ = ["main"]


def main() -> None:
    """Serve until told to stop, or until the parent is gone (on Linux)."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone")
    import uvicorn  # noqa: PLC0415 - slow, and of no use to an orphan
    from prefect.server.api.server import create_app  # noqa: PLC0415

    config = uvicorn.Config(
        create_app, factory=True, log_level="error", lifespan="on", timeout_graceful_shutdown=3, access_log=False
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main()
