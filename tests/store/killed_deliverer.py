"""A process that delivers a spool, for tests to kill: `python killed_deliverer.py honest|hasty STORE SPOOL`.

It forks off a deliverer each time a line comes on stdin: N and a delay in seconds. After the N-th of the deliverer's
steps (before and after each object is sent) and the delay, the deliverer is killed with SIGKILL. What became of it
stands on stdout: `killed`, or `done` if it had no more steps to make.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

import s3fs  # noqa: F401 - imported once, before the fork

from nbprod.digest import Digest
from nbprod.store import SpoolingStore, open_store
from nbprod.store.spool import Spool


class HastySpool(SpoolingStore):
    """The positive control: lets go of an object before the store has it."""

    def _deliver(self, digest: Digest) -> bool:
        path = self._spool.path(digest)
        data = path.read_bytes()
        self._spool.release(digest)
        self.remote.put(data)
        return True


def deliver(kind: str, url: str, folder: Path, steps: int) -> None:
    remote = open_store(url, base=folder)

    def step() -> None:
        os.write(steps, b".")

    put, put_file = type(remote).put, type(remote).put_file

    def putting(self: object, what: object, *, method: object) -> object:
        step()
        try:
            return method(self, what)  # type: ignore[operator]
        finally:
            step()

    type(remote).put = lambda self, data: putting(self, data, method=put)  # type: ignore[method-assign,assignment]
    type(remote).put_file = lambda self, path: putting(self, path, method=put_file)  # type: ignore[method-assign,assignment]
    done = (HastySpool if kind == "hasty" else SpoolingStore)(remote, Spool(folder)).deliver()
    sys.exit(0 if done.problem is None and done.waiting == 0 else 1)


def killed(kind: str, url: str, folder: Path, number: int, delay: float) -> bool:
    """Have a deliverer killed after so many steps; false if it came to its end before."""
    listening, telling = os.pipe()
    child = os.fork()
    if not child:
        os.close(listening)
        try:
            deliver(kind, url, folder, telling)
        finally:
            os._exit(3 if sys.exc_info()[0] is not SystemExit else int(str(sys.exc_info()[1])))
    os.close(telling)
    left = number
    while left > 0:
        select.select([listening], [], [], 60)
        if not (seen := os.read(listening, left)):
            break
        left -= len(seen)
    else:
        time.sleep(delay)
    os.close(listening)
    if left <= 0:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(f"the deliverer failed with {os.WEXITSTATUS(status)}")
    return os.WIFSIGNALED(status)


def main(kind: str, url: str, folder: str) -> None:
    for line in sys.stdin:
        number, delay = line.split()
        told = killed(kind, url, Path(folder), int(number), float(delay))
        sys.stdout.write("killed\n" if told else "done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
