"""What `make up` leaves in the background: `python -m nbprod.flow.guard ROOT PORT`. It keeps a server and a worker.

Both end with it, however it goes: the system tells them (on Linux). Flow runs that a killed one left are closed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from nbprod.errors import EnvironmentFault, NbprodError
from nbprod.flow.embedded import POOL, Embedded
from nbprod.flow.server import LocalServer

__all__ = ["main"]

_TICK = 0.5  # seconds until the end of a child is noticed


class _Stopped(BaseException):
    """SIGTERM: `make down`."""


def main() -> int:
    """Keep server and worker until told to stop, or until one of them ends."""
    embedded, port = Embedded(Path(sys.argv[1])), int(sys.argv[2])
    signal.signal(signal.SIGTERM, _stop)
    try:
        with LocalServer(embedded.home, os.environ, whole=True, port=port) as server:
            embedded.note(pid=os.getpid(), url=server.url, ready=False)
            server.wait()
            os.environ.update(server.client_environ)
            _prepare()
            _deploy(embedded.root)
            with _worker(embedded.root) as worker:
                embedded.note(pid=os.getpid(), url=server.url, ready=True)
                while not server.ended and worker.poll() is None:
                    time.sleep(_TICK)
                raise EnvironmentFault(
                    "the embedded Prefect has ended",
                    found="its server ended" if server.ended else f"its worker ended with status {worker.returncode}",
                    hint="Start it again with `make up`.",
                )
    except _Stopped:
        return 0
    except NbprodError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    finally:
        embedded.forget(os.getpid())


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _prepare() -> None:
    """Make the work pool, and close what an `up` that was killed left running: its worker went with it."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - it reads the environment when it is imported
    from prefect.client.schemas.actions import WorkPoolCreate  # noqa: PLC0415
    from prefect.exceptions import ObjectAlreadyExists  # noqa: PLC0415
    from prefect.workers.process import ProcessWorker  # noqa: PLC0415

    from nbprod.flow.leftovers import close_flow_runs  # noqa: PLC0415

    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=template)
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(pool)
    close_flow_runs(None, "the process that ran it was killed")


def _deploy(root: Path) -> None:
    """Deploy what the root's prefect.yaml lists.

    Raises:
        EnvironmentFault: Prefect refuses it.
    """
    if not (root / "prefect.yaml").is_file():
        return
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stdout + done.stderr)
    if done.returncode:
        raise EnvironmentFault(
            "the deployments of prefect.yaml cannot be made",
            found=(done.stderr or done.stdout).strip()[-400:],
            hint="Try `prefect deploy --all` yourself.",
        )


@contextlib.contextmanager
def _worker(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "nbprod.flow.work", str(os.getpid()), POOL]
    worker = subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            worker.terminate()
        try:
            worker.wait(timeout=40)  # it ends its flow runs first, and gives them 30 seconds
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


if __name__ == "__main__":
    sys.exit(main())
