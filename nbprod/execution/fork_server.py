"""The fork server: a supervisor whose kernels are forks of itself, with what they import already in memory.

This file is run as a script by a kernel's own interpreter, which need not have nbprod. It uses the standard library,
`supervise.py`, `forking_keeper.py` and `fork_memory.py` beside it, and `_in_pipe.py` and `_in_fork.py`, which know
ipykernel. It never runs user code, has no event loop and no ZeroMQ context; everything that a run could change happens
in processes forked for that run alone.

    python fork_server.py CONTROL IDLE IN_PIPE IN_FORK SOURCE…

CONTROL is a socket's descriptor, or a path to listen at; IDLE is in seconds. CONTROL speaks the supervisor's protocol,
with two more descriptors for a `keep`: the kernel's channel and its side channel (see `_in_pipe.py`), and with
`preload`, the modules that the notebook is known to import. For each such list the server forks a branch of itself that
imports just these and serves all runs that ask for them: a notebook never finds a module in memory that it would not
have imported.

With `"mode": "sockets"` the kernel is IPython's ordinary application, with ZeroMQ's sockets and a connection file, for
any Jupyter client (see `provisioner.py`). Its two more descriptors are its stdout and stderr; none waits as a spare.

server → runner      {"event": "ready", "pid": n, "versions": {…}} | {"event": "refused", "error": text}
runner → server      {"op": "keep", "run": id, "preload": [module, …], "argv": […], "movable": whether it may have
                     started before it knew where, "mode": "sockets" or none}
                     {"op": "branch", "preload": [module, …]}, answered by {"event": "branched"}
                     {"op": "status"}, answered by {"event": "status", …};  {"op": "stop"}

It ends when nobody holds its control sockets any more, its branches with it, once the last run has ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import select
import signal
import socket
import sys
import time
from typing import Any

SPARES = 2
"""Kernels that wait for the next run, at most; and how many may fail before there are none."""
BREATH = 0.005
"""Seconds without a request before a spare is made."""


def load(path: str, name: str) -> Any:
    """Load a module from a file."""
    spec: Any = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would be one more import
supervise = load(HERE + "/supervise.py", "nbprod_supervise")
keepers = load(HERE + "/forking_keeper.py", "nbprod_forking_keeper")
fork_memory = load(HERE + "/fork_memory.py", "nbprod_fork_memory")


class FrontEnd:
    """What libraries see as `get_ipython()` while they are imported here: a notebook's shell, no terminal's."""

    kernel = True


class Server:
    """Serves runs: the root of a tree of branches.

    Args:
        kernel: the module that is a kernel.
        sources: code objects that prepare a kernel, by name.
        idle: seconds after which a branch, or a server that anybody may use, ends if nobody asks for anything.
    """

    def __init__(self, kernel: Any, sources: dict[str, Any], idle: float) -> None:
        self.idle = idle
        self.kernel = kernel
        self.sources = sources
        self.preloaded: tuple[str, ...] = ()
        self.loaded: list[str] = []
        self.memory = fork_memory.Memory(set())
        self.controls: list[socket.socket] = []
        self.listener: socket.socket | None = None
        self.branches: dict[tuple[str, ...], tuple[socket.socket, int]] = {}
        self.keepers: set[int] = set()
        self.spares: list[tuple[socket.socket, int]] = []
        self.argv: list[str] | None = None
        self.spares_fail = 0
        self.served = 0
        self.since = time.time()
        self.busy = time.monotonic()
        _, self.unified = supervise.own_groups()

    # --- the loop ------------------------------------------------------------------------------

    def serve(self) -> None:
        """Serve until nobody can ask any more and the last run has ended."""
        while self.controls or self.listener or len(self.keepers) > len(self.spares):
            watched = [*self.controls, *([self.listener] if self.listener else [])]
            short = self.wants_spare()
            ready, _, _ = select.select(watched, [], [], BREATH if short else 1.0 if self.keepers else 30.0)
            if short and not ready:
                self.make_spare()
            for sock in ready:
                self.busy = time.monotonic()
                if sock is self.listener:
                    self.controls.append(sock.accept()[0])
                    self.greet(self.controls[-1])
                else:
                    self.hear(sock)
            self.bury()
            if (
                time.monotonic() - self.busy > self.idle
                and len(self.keepers) == len(self.spares)
                and (self.listener or self.preloaded)
            ):
                return

    def greet(self, sock: socket.socket) -> None:
        """Say that all is there."""
        supervise.tell(sock, event="ready", pid=os.getpid())

    def hear(self, sock: socket.socket) -> None:
        """Do what one message asks for."""
        message, descriptors = supervise.receive(sock)
        if message is None:
            self.controls.remove(sock)
            sock.close()
        elif message["op"] == "keep" and len(descriptors) == supervise.MOST:
            self.keep(message, descriptors)
        elif message["op"] == "branch":
            names = tuple(message.get("preload") or ())
            if names and names not in self.branches:
                self.branch(names)
            supervise.tell(sock, event="branched")
        elif message["op"] == "status":
            supervise.tell(sock, event="status", **self.status())
        elif message["op"] == "stop":
            self.stop()
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def status(self) -> dict[str, object]:
        """Return what the server is doing."""
        branches = [[*names] for names in self.branches]
        return {"pid": os.getpid(), "since": self.since, "served": self.served, "branches": branches}

    def stop(self) -> None:
        """Take no more requests."""
        if self.listener is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.listener.getsockname())  # noqa: PTH108
            self.listener.close()
            self.listener = None
        for sock in self.controls:
            sock.close()
        self.controls.clear()

    def bury(self) -> None:
        """Collect what has ended, and end what it left behind."""
        dead = [pid for pid, _ in supervise.reap()]
        for names, (sock, pid) in list(self.branches.items()):
            if pid in dead:
                sock.close()
                del self.branches[names]
                self.adopt()
        for sock, pid in list(self.spares):
            if pid in dead:
                sock.close()
                self.spares.remove((sock, pid))
                self.spares_fail += 1
        gone = [pid for pid in dead if pid in self.keepers]
        self.keepers.difference_update(gone)
        others = self.keepers | {pid for _, pid in self.branches.values()}
        supervise.clear_after(gone, others, self.unified)

    def adopt(self) -> None:
        """Take over the keepers of a branch that was killed; what a notebook started is in a session of its own."""
        known = self.keepers | {pid for _, pid in self.branches.values()}
        for pid in set(supervise.children_of(os.getpid())) - known:
            with contextlib.suppress(OSError):
                if os.getsid(pid) == os.getsid(0):
                    self.keepers.add(pid)

    # --- runs ----------------------------------------------------------------------------------

    def keep(self, message: dict[str, object], descriptors: list[int]) -> None:
        """Give a run a keeper, or hand it on to the branch that has what it imports."""
        self.served += 1
        wanted: tuple[str, ...] = tuple(message.get("preload") or ())  # type: ignore[arg-type]
        if wanted != self.preloaded:
            self.hand_on(wanted, message, descriptors)
        elif (why := self.memory.unfit(str(message.get("cwd", "/")))) is not None:
            self.refuse(descriptors[0], why)
        elif message.get("mode") == "sockets":
            self.fork_keeper(lambda: keepers.ApplicationKeeper(self.kernel, descriptors))
        elif not self.give_spare(message, descriptors):
            self.fork_keeper(lambda: keepers.ForkingKeeper(self.kernel, self.sources, self.loaded, descriptors))

    def refuse(self, descriptor: int, why: str) -> None:
        """Say that a run must have another kernel; where what is in memory is out of date, serve nobody any more."""
        with socket.socket(fileno=os.dup(descriptor)) as run:
            supervise.tell(run, event="refused", error=why)
        if self.memory.stale():
            self.stop()

    def fork_keeper(self, make: Any) -> None:
        """Fork a keeper."""
        pid = os.fork()
        if pid == 0:
            self.become(make)
        self.keepers.add(pid)

    def become(self, make: Any) -> None:
        """Be a keeper, in a forked process. Does not return."""
        try:
            self.let_go()
            keeper = make()
            if keeper.start():
                keeper.serve()
        finally:
            os._exit(0)

    # --- spares --------------------------------------------------------------------------------

    def wants_spare(self) -> bool:
        """Return whether a kernel should wait for the next run: this is not the only one, and its kind can wait."""
        return self.argv is not None and self.served > 1 and len(self.spares) < SPARES and self.spares_fail < SPARES

    def make_spare(self) -> None:
        """Fork a keeper with a kernel that waits."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = self.argv
        pid = os.fork()
        if pid == 0:
            ours.close()
            self.become(lambda: keepers.SpareKeeper(self.kernel, self.sources, self.loaded, argv, theirs))
        theirs.close()
        self.spares.append((ours, pid))
        self.keepers.add(pid)

    def give_spare(self, message: dict[str, object], descriptors: list[int]) -> bool:
        """Hand a run to a kernel that waits; return whether there was one."""
        self.argv = message["argv"] if message.get("movable") else None  # type: ignore[assignment]
        while self.argv is not None and self.spares:
            sock, _ = self.spares.pop(0)
            with sock:
                try:
                    keepers.hand_over(sock, message, descriptors)
                except OSError:
                    self.spares_fail += 1
                else:
                    return True
        return False

    def hand_on(self, wanted: tuple[str, ...], message: dict[str, object], descriptors: list[int]) -> None:
        """Send a request to a branch; one that is not there, or no more, is made."""
        for _ in range(2):
            if wanted not in self.branches:
                self.branch(wanted, descriptors)
            sock = self.branches[wanted][0]
            try:
                keepers.hand_over(sock, message, descriptors)
            except OSError:
                sock.close()
                del self.branches[wanted]
            else:
                return

    def branch(self, wanted: tuple[str, ...], came: list[int] | None = None) -> None:
        """Fork a server that imports these modules."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            try:
                self.let_go()
                ours.close()
                for descriptor in came or ():  # the request's: it is sent to us in a moment, and is one run's alone
                    os.close(descriptor)
                supervise.prctl(supervise.PR_SET_CHILD_SUBREAPER, 1)
                self.branches, self.keepers, self.spares = {}, set(), []
                self.controls, self.listener = [theirs], None
                self.preloaded, self.served = wanted, 0
                before = set(sys.modules)
                preload(wanted)
                self.loaded = [name for name in wanted if name in sys.modules]
                self.memory = fork_memory.Memory(set(sys.modules) - before)
                self.serve()
            finally:
                os._exit(0)
        theirs.close()
        self.branches[wanted] = (ours, pid)

    def let_go(self) -> None:
        """Close, in a forked process, what is the server's own."""
        for sock in [*self.controls, *(sock for sock, _ in [*self.branches.values(), *self.spares])]:
            sock.close()
        if self.listener is not None:
            self.listener.close()


def preload(names: tuple[str, ...]) -> None:
    """Import modules as they would be imported in a notebook; what can't be imported is left to the notebook."""
    import builtins  # noqa: PLC0415

    added = "MPLBACKEND" not in os.environ
    if added:
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as ipykernel sets it
    builtins.get_ipython = FrontEnd  # type: ignore[attr-defined]
    try:
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    finally:
        del builtins.get_ipython  # type: ignore[attr-defined]
        if added:
            del os.environ["MPLBACKEND"]
    settle()


def settle() -> None:
    """Make what is in memory cheap to fork, and refuse what can't be: an open GPU does not survive a fork."""
    with contextlib.suppress(OSError):
        for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                if os.readlink("/proc/self/fd/" + descriptor).startswith("/dev/nvidia"):  # noqa: PTH115
                    os._exit(3)
    gc.collect()
    gc.freeze()
    gc.disable()


def main() -> None:
    """Import what every kernel imports, then serve."""
    control, idle, in_pipe, in_fork, *sources = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    supervise.prctl(supervise.PR_SET_CHILD_SUBREAPER, 1)
    if sys.path and sys.path[0] == HERE:
        del sys.path[0]
    if control.isdigit():
        sock = socket.socket(fileno=int(control))
    try:
        load(in_pipe, "nbprod_in_pipe")
        kernel = load(in_fork, "nbprod_in_fork")
        kernel.warm_up()
        compiled = {}
        for path in sources:
            with open(path, encoding="utf-8") as text:  # noqa: PTH123
                compiled[os.path.basename(path)] = compile(text.read(), "<nbprod>", "exec")  # noqa: PTH119
        server = Server(kernel, compiled, float(idle))
    except BaseException as error:
        if control.isdigit():
            supervise.tell(sock, event="refused", error=f"{type(error).__name__}: {error}")
        raise SystemExit(1) from error
    settle()
    if control.isdigit():
        server.controls.append(sock)
        server.greet(sock)
    else:
        server.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.listener.bind(control)
        os.chmod(control, 0o600)  # noqa: PTH101
        server.listener.listen(64)
    server.serve()


if __name__ == "__main__":
    main()
