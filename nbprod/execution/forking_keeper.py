"""Keepers whose kernels are forks: one for a run that is asked for, and one that waits with its kernel for the next.

Loaded by the fork server by its path, as `supervise.py` is: standard library only. A *spare* is a keeper with a kernel
that has gone through ipykernel's start and waits to be told its run; each serves one run and is gone.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from typing import Any

_NAME = "nbprod_supervise" if "nbprod_supervise" in sys.modules else "nbprod.execution.supervise"
supervise: Any = importlib.import_module(_NAME)

MARK = b"NBPROD_RUN_ID="
STARTED_WITH = frozenset(os.environ)
"""Variables of the server's own. What is added while it imports, libraries add in an ordinary kernel as well."""


def mark_environment(run_id: str) -> None:
    """Write the run's id over the placeholder in what /proc shows of us, where leftovers are looked for."""
    with contextlib.suppress(Exception), open("/proc/self/stat", "rb") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(b")")[2].split()
        begin, end = int(fields[47]), int(fields[48])  # env_start, env_end: proc(5) counts from 1, and pid and comm
        block = ctypes.string_at(begin, end - begin)
        at = 0 if block.startswith(MARK) else block.find(b"\0" + MARK) + 1
        value = run_id.encode("ascii")
        room = block.find(b"\0", at) - at - len(MARK)
        if block[at:].startswith(MARK) and len(value) == room:
            ctypes.memmove(begin + at + len(MARK), value, len(value))


def take_environment(env: dict[str, str]) -> None:
    """Have the variables of one run, and what libraries have set, but none of the server's."""
    mark_environment(env.get("NBPROD_RUN_ID", ""))
    for name in list(os.environ):
        if name not in env and name in STARTED_WITH:
            del os.environ[name]
    os.environ.update(env)
    time.tzset()
    renew_multiprocessing()


def renew_multiprocessing() -> None:
    """Have what multiprocessing keeps of the process that imports it: where it was, and a key that nobody else has."""
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.ORIGINAL_DIR = os.getcwd()  # noqa: PTH109 - as it has it
        process.current_process().authkey = os.urandom(32)


def hand_over(sock: socket.socket, message: dict[str, object], descriptors: list[int]) -> None:
    """Send a message with descriptors."""
    rights = array.array("i", descriptors)
    sock.sendmsg([json.dumps(message).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


class ForkingKeeper(supervise.Keeper):  # type: ignore[misc]
    """Holds a kernel that is a fork of the server, for a run that is known.

    Args:
        kernel: the module that is a kernel.
        sources: code objects that prepare a kernel, by name.
        loaded: what of the modules that were asked for is in memory.
        descriptors: the run's socket, its launch, the kernel's channel and side channel.
    """

    def __init__(self, kernel: Any, sources: dict[str, Any], loaded: list[str], descriptors: list[int]) -> None:
        self.module = kernel
        self.loaded = loaded
        self.sources = sources
        self.channel = socket.socket(fileno=descriptors[2])
        self.side = socket.socket(fileno=descriptors[3])
        super().__init__(socket.socket(fileno=descriptors[0]), supervise.read_launch(descriptors[1]))

    def start(self) -> bool:
        """Launch, and let go of what is the kernel's alone: its end must be seen at the other side."""
        started: bool = super().start()
        self.channel.close()
        self.side.close()
        return started

    def about(self) -> dict[str, object]:
        """Return what is told of the kernel beside its pid."""
        return {"preloaded": self.loaded}

    def execute(self, report: int) -> None:
        """Be the kernel. Does not return."""
        self.run.close()
        os.close(self.wake_read)
        os.close(self.wake_write)
        take_environment(self.launch["env"])
        os.close(report)
        gc.enable()
        self.serve_as_kernel(lambda: self.module.run(self.channel, self.side, self.launch["argv"], self.sources))

    def serve_as_kernel(self, serve: Any) -> None:
        """Be a kernel until it ends; what goes wrong is told in the log, as the interpreter does at its top."""
        # As the interpreter has them from its start; what is executed from a file needs them otherwise (`supervise`).
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            serve()
        except BaseException:  # noqa: BLE001 - whatever it was
            import traceback  # noqa: PLC0415

            traceback.print_exc(file=sys.__stderr__)
        os._exit(1)


class ApplicationKeeper(ForkingKeeper):
    """Holds a kernel that any Jupyter client may talk to: IPython's own application, in a fork of the server.

    Args:
        kernel: the module that is a kernel.
        descriptors: the client's socket, the launch, the kernel's stdout and stderr.
    """

    def __init__(self, kernel: Any, descriptors: list[int]) -> None:
        self.module = kernel
        self.loaded = []
        self.streams = descriptors[2:]
        supervise.Keeper.__init__(self, socket.socket(fileno=descriptors[0]), supervise.read_launch(descriptors[1]))

    def start(self) -> bool:
        """Launch, and let go of what is the kernel's alone."""
        started: bool = supervise.Keeper.start(self)
        for descriptor in self.streams:
            os.close(descriptor)
        return started

    def execute(self, report: int) -> None:
        """Be the kernel. Does not return."""
        self.run.close()
        os.close(self.wake_read)
        os.close(self.wake_write)
        for number, descriptor in enumerate(self.streams, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        take_environment(self.launch["env"])
        os.close(report)
        gc.enable()
        self.serve_as_kernel(lambda: self.module.run_application(self.launch["argv"]))


class SpareKeeper(ForkingKeeper):
    """Holds a kernel that is up before anybody has asked for it.

    Args:
        kernel: the module that is a kernel.
        sources: code objects that prepare a kernel, by name.
        loaded: what of the modules that will be asked for is in memory.
        argv: the command line that the kernel shows.
        server: where the request will come from.
    """

    def __init__(
        self, kernel: Any, sources: dict[str, Any], loaded: list[str], argv: list[str], server: socket.socket
    ) -> None:
        self.module = kernel
        self.loaded = loaded
        self.sources = sources
        self.server = server
        self.inner, self.inner_kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        launch = {"argv": argv, "log": os.devnull, "cwd": "/", "closer": []}
        supervise.Keeper.__init__(self, server, launch)

    def start(self) -> bool:
        """Launch the kernel, wait for a run, and tell the kernel; return whether a run came."""
        os.set_blocking(self.server.fileno(), True)
        quiet, self.run = self.server, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # nobody is to be told yet
        launched: bool = supervise.Keeper.start(self)
        self.inner_kernel.close()
        if not launched:
            return False
        message, descriptors = self.wait_for_run(quiet)
        if message is None or len(descriptors) != supervise.MOST:
            self.kill_all(0.0)
            return False
        self.run.close()
        self.run = socket.socket(fileno=descriptors[0])
        copy = os.dup(descriptors[1])
        self.launch = supervise.read_launch(descriptors[1])
        self.oom_before = supervise.oom_kills(self.memory)
        with contextlib.suppress(OSError):  # it has died: that is told as what it is, a kernel's death
            hand_over(self.inner, {}, [copy, *descriptors[2:]])
        for descriptor in (copy, *descriptors[2:]):
            os.close(descriptor)
        self.inner.close()
        quiet.close()
        if self.status is not None:
            supervise.tell(self.run, event="refused", error="the spare kernel had died")
            return False
        supervise.tell(self.run, event="launched", pid=self.kernel, **self.about())
        return True

    def wait_for_run(self, server: socket.socket) -> tuple[dict[str, object] | None, list[int]]:
        """Return the request; none when the server is gone, or the kernel."""
        while True:
            ready = supervise.wait_for(server, self.wake_read)
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
                self.collect()
                if self.status is not None:
                    return None, []
            if server.fileno() in ready:
                found: tuple[dict[str, object] | None, list[int]] = supervise.receive(server)
                return found

    def execute(self, report: int) -> None:
        """Be the kernel. Does not return."""
        for sock in (self.run, self.server, self.inner):
            sock.close()
        os.close(self.wake_read)
        os.close(self.wake_write)
        os.close(report)
        gc.enable()
        self.serve_as_kernel(self.be_spare)

    def be_spare(self) -> None:
        """Go through the start, wait to be told the run, and be its kernel."""
        app = self.module.begin(self.launch["argv"])
        if not self.module.is_plain(app):
            os._exit(9)  # what this user has it do at its start may look at where it runs
        message, descriptors = supervise.receive(self.inner_kernel)
        if message is None:
            os._exit(0)
        launch = supervise.read_launch(descriptors[0])
        self.inner_kernel.close()
        log = os.open(launch["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.chdir(launch["cwd"])
        take_environment(launch["env"])
        self.module.told_its_run(app, log)
        channel, side = (socket.socket(fileno=descriptor) for descriptor in descriptors[1:])
        self.module.serve_run(app, channel, side, self.sources)
