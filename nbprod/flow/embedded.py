"""The embedded Prefect of a project: a server with its UI, a worker and the deployments, in the background.

For one machine, without anything else to install: SQLite, a process worker, the loopback interface.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbprod.errors import EnvironmentFault
from nbprod.runner.files import write_atomically

__all__ = ["POOL", "Embedded", "Up"]

POOL = "nbprod"
"""The work pool that the deployments of prefect.yaml name."""
_PORT = 4200  # Prefect's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """An embedded Prefect that runs.

    Args:
        pid: of the process that keeps server and worker.
        url: the API's address.
        ready: whether server, deployments and worker are there.
    """

    pid: int
    url: str
    ready: bool

    @property
    def ui(self) -> str:
        """The UI's address."""
        return self.url.removesuffix("/api")


class Embedded:
    """A project's embedded Prefect.

    Args:
        root: the project's root; its `prefect.yaml` lists the deployments.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.home = self.root / ".prefect" / "up"
        self._note = self.home / "up.json"
        self._log = self.home / "up.log"
        self._spawned: subprocess.Popen[bytes] | None = None  # where it is this process's child, it must be reaped

    def find(self) -> Up | None:
        """Return what runs, if it does."""
        self._reap()
        try:
            up = Up(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return up if _is_guard(up.pid) else None

    def start(
        self,
        environ: Mapping[str, str],
        *,
        port: int = _PORT,
        timeout: float = 300.0,
        waiting: Callable[[float], None] = lambda _: None,
    ) -> Up:
        """Start it, unless it runs, and return once it is ready.

        Args:
            environ: the environment that server, worker and flow runs start from.
            port: the server's, where it is free.
            timeout: seconds.
            waiting: hears, some times a second, for how many seconds it has been waited.

        Raises:
            EnvironmentFault: it did not come up.
        """
        begun = time.monotonic()
        if self.find() is None:
            self._spawned = self._spawn(environ, port)
        while (up := self.find()) is None or not up.ready:
            seconds = time.monotonic() - begun
            waiting(seconds)
            ended = self._reap() or not (self._spawned or up)
            if ended or seconds > timeout:
                found = f"it ended: {self._last_words()}" if ended else f"it was not ready within {timeout:g} s"
                raise EnvironmentFault(
                    "the embedded Prefect did not come up", found=found, hint=f"Its whole log is in {self._log}."
                )
            time.sleep(0.2)
        return up

    def stop(self, *, timeout: float = 60.0) -> Up | None:
        """Stop it by its process id, with its server, its worker and their flow runs; return what was stopped.

        Args:
            timeout: seconds until it is killed.
        """
        up = self.find()
        if up is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(up.pid, signal.SIGTERM)
            until = time.monotonic() + timeout
            while _is_guard(up.pid):
                if time.monotonic() > until:
                    os.kill(up.pid, signal.SIGKILL)
                time.sleep(0.1)
        self._reap()
        return up

    def note(self, *, pid: int, url: str, ready: bool) -> None:
        """Note what runs, for `find`."""
        write_atomically(self._note, json.dumps({"pid": pid, "url": url, "ready": ready}).encode())

    def forget(self, pid: int) -> None:
        """Remove the note of a process that ends."""
        up = self.find()
        if up is None or up.pid == pid:
            self._note.unlink(missing_ok=True)

    def _reap(self) -> bool:
        """Return whether what this object started has ended."""
        return self._spawned is not None and self._spawned.poll() is not None

    def _spawn(self, environ: Mapping[str, str], port: int) -> subprocess.Popen[bytes]:
        self.home.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in environ.items() if not name.startswith("PREFECT_")}
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "nbprod.flow.guard", str(self.root), str(port)],
                cwd=self.root,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it stays when the shell goes
            )

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


def _is_guard(pid: int) -> bool:
    """Return whether a process is one of ours: an id alone may have gone to somebody else."""
    listed = subprocess.run(
        ["ps", "-p", str(pid), "-o", "stat=,command="], capture_output=True, text=True, check=False
    ).stdout.strip()
    return "nbprod.flow.guard" in listed and not listed.startswith("Z")
