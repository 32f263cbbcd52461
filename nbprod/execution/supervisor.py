"""The runner's side of the supervisor: start it once per process, hand it kernels to hold."""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nbprod.errors import KernelUnavailable

__all__ = ["Exit", "Keeper", "Supervisor", "launch_file", "readable"]

_SCRIPT = Path(__file__).with_name("supervise.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a kernel's process ended.

    Args:
        code: its exit status, None if a signal ended it or nobody knows.
        signal: the signal's number, None otherwise.
        oom: out-of-memory kills that the cgroup counted during the run.
    """

    code: int | None
    signal: int | None
    oom: int = 0


def readable(sock: socket.socket, timeout: float) -> bool:
    """Return whether there is something to read within `timeout` seconds; unlike select(2), for any descriptor."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(max(0, round(timeout * 1000))))


def launch_file(launch: Mapping[str, Any]) -> IO[bytes]:
    """Return an open file that no path leads to: the kernel's environment may hold secrets (law 7)."""
    if hasattr(os, "memfd_create"):
        stream: IO[bytes] = os.fdopen(os.memfd_create("nbprod-launch"), "wb")
    else:
        stream = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it after the hand-over
    stream.write(json.dumps(launch).encode())
    stream.flush()
    return stream


class Keeper:
    """One run's keeper, as the runner sees it: launch, signal, end, and the news from below.

    Not safe for use by two threads at once, but for `signal`, which a canceller may call.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.pid: int | None = None
        self.preloaded: tuple[str, ...] = ()
        self.exit: Exit | None = None
        self.ended = False
        self.lost = False
        """True when the keeper vanished without a word."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is news."""
        return self._sock.fileno()

    def pump(self, timeout: float = 0.0) -> bool:
        """Read one piece of news if it comes within `timeout` seconds; return whether there was one."""
        if self.lost or not readable(self._sock, timeout):
            return False
        try:
            data = self._sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.lost = True
            return True
        news = json.loads(data)
        if news["event"] == "launched":
            self.pid = news["pid"]
            self.preloaded = tuple(news.get("preloaded", ()))
        elif news["event"] == "refused":
            raise KernelUnavailable(
                "the kernel could not be launched",
                found=news["error"],
                hint="See `nbprod doctor` and `jupyter kernelspec list`.",
            )
        elif news["event"] == "exited":
            self.exit = Exit(code=news["code"], signal=news["signal"], oom=news["oom"])
        elif news["event"] == "ended":
            self.ended = True
        return True

    @property
    def alive(self) -> bool:
        """Whether the kernel's process was alive at the last news."""
        return self.exit is None and not self.lost

    def signal(self, number: int) -> None:
        """Signal the kernel's process group."""
        self._send(op="signal", signal=int(number))

    def end(self, grace: float) -> None:
        """End the run's whole descent: wait `grace` seconds for the kernel, kill what is left, wait for the word.

        Returns when nothing of the run is alive. A lost keeper took the kernel with it (parent-death signal).
        """
        if self.ended:
            return
        self._send(op="end", grace=grace)
        deadline = time.monotonic() + grace + 30.0
        while not self.ended and not self.lost and time.monotonic() < deadline:
            with contextlib.suppress(KernelUnavailable):
                self.pump(1.0)

    def release(self) -> None:
        """Say that the run is closed. A keeper that never hears this has the run closed as crashed."""
        self._send(op="bye")
        self._sock.close()

    def abandon(self) -> None:
        """Let go without that word: the keeper ends all that is left and has the run closed from its journal."""
        self._sock.close()

    def _send(self, **message: object) -> None:
        try:
            self._sock.send(json.dumps(message).encode())
        except OSError:
            self.lost = True


class Supervisor:
    """The supervisor process of this runner process; started at the first use, ended with the process.

    Safe for use by many threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def start(self) -> None:
        """Start the process if it is not up; returns at once, the process comes up meanwhile."""
        with self._lock:
            self._start_locked()

    def _start_locked(self) -> socket.socket:
        # After a fork the child must not speak through its parent's supervisor.
        if self._control is not None and self._owner == os.getpid() and self._alive():
            return self._control
        self._drop_control()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = ours
        self._owner = os.getpid()
        # At the latest when this process ends: the supervisor sees its socket close, ends, and is reaped.
        weakref.finalize(self, _let_go, ours, self._process, self._owner)
        return ours

    def _drop_control(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def keep(
        self,
        *,
        run_id: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        closer: Sequence[str] = (),
        secrets: Mapping[str, str] | None = None,
    ) -> Keeper:
        """Have a kernel launched and held.

        Args:
            run_id: the run that it belongs to.
            argv: the kernel's command line.
            env: its whole environment.
            cwd: its working directory.
            log: a file for what the process itself writes to stdout and stderr.
            closer: the command that closes the run should this process vanish; empty for none.
            secrets: values by name, which the closer is handed on its standard input.

        Returns:
            The keeper, at once: `launched` or `refused` arrives as news.
        """
        launch = {"argv": list(argv), "env": dict(env), "cwd": str(cwd), "log": str(log), "closer": list(closer)}
        launch["secrets"] = dict(secrets or {})
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps({"op": "keep", "run": run_id}).encode()
        with theirs, launch_file(launch) as spec:
            rights = array.array("i", [theirs.fileno(), spec.fileno()])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            with self._lock:
                try:
                    self._start_locked().sendmsg([request], ancillary)
                except OSError:  # it died between two runs: a fresh one serves
                    self._drop_control()
                    self._start_locked().sendmsg([request], ancillary)
        return Keeper(ours)

    def close(self) -> None:
        """Let the process end once its last run has ended, and reap it."""
        with self._lock:
            self._drop_control()
            if self._process is not None and self._owner == os.getpid():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(5.0)
                self._process = None


def _let_go(control: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    control.close()
    if owner == os.getpid():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
