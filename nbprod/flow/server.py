"""A Prefect server of one's own: on a loopback port, its data in one folder, gone with its process.

Prefect's own temporary server survives a `kill -9` of its flow, and gives up after 20 seconds, which a first start on
a small machine does not keep to. This module imports nothing slow: the server starts while its caller imports Prefect.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Self

from nbprod.errors import CallerError, EnvironmentFault
from nbprod.flow.patience import PATIENT

__all__ = ["LocalServer"]

_UNNEEDED = (
    "SCHEDULER",
    "LATE_RUNS",
    "FOREMAN",
    "CANCELLATION_CLEANUP",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "TRIGGERS",
)
"""Services that only deployments and workers need."""
_FEW = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _UNNEEDED},
}
_WHOLE = {"PREFECT_SERVER_UI_ENABLED": "true", "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false"}


class LocalServer:
    """Starts on construction; use as a context manager to have it stopped.

    Must be made in the main thread: Linux ties a child's life to the thread that started it.

    Args:
        home: folder for Prefect's database, log and lock; made where it is not there.
        environ: the environment to start from.
        whole: serve the UI too, and run what deployments and workers need.
        port: the port that is wanted; a free one where it is 0, or taken.

    Raises:
        CallerError: another process has a server on this folder.
    """

    def __init__(self, home: Path, environ: Mapping[str, str], *, whole: bool = False, port: int = 0) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(home / "server.lock")
        self._note = home / "server.json"
        _end_left_over(self._note)
        with socket.socket() as listener:
            _bind(listener, port)
            listener.listen(128)
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
            with (home / "server.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "nbprod.flow.serve", str(listener.fileno()), str(os.getpid())],
                    env=_server_environ(home, environ, self.url if whole else None),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[listener.fileno()],
                    start_new_session=True,  # Ctrl-C is the flow's; the server hears of it when the flow has ended
                )
        self._note.write_text(json.dumps({"pid": self._process.pid}), encoding="utf-8")

    @property
    def client_environ(self) -> dict[str, str]:
        """What a process must have in its environment, before it imports Prefect, to use this server."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **PATIENT,
        }

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether its process has ended."""
        return self._process.poll() is not None

    @property
    def up(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1.0) as reply:  # noqa: S310 - our own loopback
                return bool(reply.status == 200)  # noqa: PLR2004 - HTTP's OK
        except (urllib.error.URLError, OSError):
            return False

    def wait(self, *, timeout: float = 180.0, waiting: Callable[[float], None] = lambda _: None) -> None:
        """Return when it answers.

        Args:
            timeout: seconds.
            waiting: hears, some ten times a second, for how many seconds it has been waited.

        Raises:
            EnvironmentFault: it ended, or did not answer in time.
        """
        begun = time.monotonic()
        while not self.up:
            seconds = time.monotonic() - begun
            waiting(seconds)
            ended = self._process.poll()
            if ended is not None or seconds > timeout:
                found = f"it did not answer within {timeout:g} s" if ended is None else f"it ended with status {ended}"
                raise EnvironmentFault(
                    "Prefect's server did not start",
                    found=f"{found}; its last words: {self._last_words()}",
                    hint=f"Its whole log is in {self.home / 'server.log'}.",
                )
            time.sleep(0.1)

    def _last_words(self) -> str:
        lines = (self.home / "server.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "none"

    def stop(self) -> None:
        """Stop it and give the folder free."""
        _end(self._process.pid, self._process.poll)
        self._process.wait()
        self._note.unlink(missing_ok=True)
        self._lock.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def _bind(listener: socket.socket, port: int) -> None:
    """Bind to a port of the loopback interface, to a free one where that is taken."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended holds no port
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))


def _server_environ(home: Path, environ: Mapping[str, str], url: str | None) -> dict[str, str]:
    """Return the server's environment.

    Args:
        home: its folder.
        environ: what to start from.
        url: its API's address if it shall serve the UI and run all services, else None.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("PREFECT_")}
    return {
        **kept,
        "PREFECT_HOME": str(home),
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
        **(_FEW if url is None else {**_WHOLE, "PREFECT_SERVER_UI_API_URL": url}),
    }


def _locked(path: Path) -> IO[bytes]:
    """Return the open lock file; the lock ends with its process, however that ends."""
    stream = path.open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        raise CallerError(
            f"another process runs a Prefect server in {path.parent}", hint="Wait for it to end, or end it."
        ) from error
    return stream


def _end_left_over(note: Path) -> None:
    """End the server of a process that was killed: only where the system didn't (macOS), hence by its note."""
    try:
        pid = int(json.loads(note.read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError):
        return
    listed = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    if "nbprod.flow.serve" in listed.stdout:
        _end(pid, lambda: None if _alive(pid) else 0)
    note.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _end(pid: int, poll: Callable[[], int | None]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if poll() is None:
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 5.0
        while poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        if poll() is None:
            os.kill(pid, signal.SIGKILL)
