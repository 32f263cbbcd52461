"""The runner's side of the fork servers: one per environment, started when it is worth it, asked for kernels."""

from __future__ import annotations

import array
import hashlib
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.digest import Digest
from nbprod.execution import head_start, standing
from nbprod.execution.head_start import IDLE, HeadStart, starting
from nbprod.execution.supervisor import Keeper, launch_file, readable
from nbprod.kernels.spec import KernelSpec

__all__ = [
    "ForkServers",
    "Forked",
    "NotForked",
    "Warmth",
    "application_argv",
    "command_of",
    "fingerprint",
    "forked_argv",
]

_TRIES = 2
"""How often a list of modules is tried."""
_LAUNCHER = ("-m", "ipykernel_launcher", "-f", "{connection_file}")


class NotForked(Exception):
    """This run's kernel cannot be a fork; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """When kernels are forked.

    Args:
        on: whether they are, where they can be.
        preload: packages to be preloaded beside those that are covered.
        idle: seconds after which a server that nobody asks for anything ends.
    """

    on: bool = True
    preload: tuple[str, ...] = ()
    idle: float = IDLE


@dataclass(frozen=True, slots=True)
class Forked:
    """A kernel that was asked for: its keeper, our ends of its sockets, and what it may have in memory."""

    keeper: Keeper
    channel: socket.socket
    side: socket.socket
    preload: tuple[str, ...]


@dataclass(slots=True)
class _Server:
    control: socket.socket
    process: subprocess.Popen[bytes] | None


@dataclass(slots=True)
class _Known:
    server: _Server | None = None
    refused: str = ""


def fingerprint(spec: KernelSpec, environment: Digest, environ: Mapping[str, str], secrets: Sequence[str]) -> str:
    """Return what tells environments apart: interpreter, packages, and the variables that a process starts with."""
    # The interpreter itself, whatever name a kernel spec has for it.
    told = [
        list(spec.argv[1:]),
        str(spec.python),
        str(environment),
        sorted(starting(environ, secrets).items()),
        _rights(),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


class ForkServers:
    """The fork servers of this process. Safe for use by many threads; not for use after a fork.

    Args:
        idle: seconds after which a branch ends that nobody asks for anything.
        ahead: a server that was started before anything was known; for the first that it fits.
    """

    def __init__(self, idle: float = IDLE, ahead: HeadStart | None = None) -> None:
        self._idle = idle
        self._ahead = ahead
        self._failed: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def fork(
        self,
        spec: KernelSpec,
        *,
        environment: Digest,
        environ: Mapping[str, str],
        extra_env: Mapping[str, str],
        preload: Sequence[str],
        run_id: str,
        cwd: Path,
        log: Path,
        closer: Sequence[str],
    ) -> Forked:
        """Ask for a kernel.

        Args:
            spec: which kernel it is to be as good as.
            environment: the digest of its environment's key.
            environ: the environment that it inherits.
            extra_env: variables of this run (secrets among them): no server ever has them.
            preload: modules that it may have in memory.
            run_id: the run that it belongs to.
            cwd: its working directory.
            log: a file for what the process itself writes.
            closer: command that closes the run should this process vanish.

        Raises:
            NotForked: it can't be had.
        """
        argv = forked_argv(spec)
        base = spec.environment(environ, {})
        if (path := base.get("PYTHONPATH")) and not all(map(os.path.isabs, path.split(os.pathsep))):
            raise NotForked("PYTHONPATH names folders relative to the working directory")
        values = frozenset(extra_env.values())
        hidden = tuple(dict.fromkeys((*extra_env, *(name for name, value in base.items() if value in values))))
        key = fingerprint(spec, environment, base, hidden)
        control = self._server(key, spec, starting(base, hidden))
        env = {**base, **extra_env, "NBPROD_RUN_ID": run_id, "JPY_PARENT_PID": "1"}
        launch = {"argv": argv, "env": env, "cwd": str(cwd), "log": str(log), "closer": list(closer)}
        launch["closer_env"] = dict(environ)  # a server lacks what not all may have, and the store may need it
        launch["secrets"] = dict(extra_env)
        names = self._bearable(_fitting(preload, cwd, env))
        channel, its_channel = socket.socketpair()
        side, its_side = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        told = {"preload": names, "argv": argv, "cwd": str(cwd), "movable": _may_wait(cwd, env)}
        request = {"op": "keep", "run": run_id, **told}
        with its_channel, its_side:
            try:
                keeper = self._ask(key, control, request, launch, (its_channel.fileno(), its_side.fileno()))
            except NotForked:
                channel.close()
                side.close()
                raise
        return Forked(keeper, channel, side, tuple(names))

    def fork_application(
        self,
        spec: KernelSpec,
        *,
        environment: Digest,
        argv: Sequence[str],
        env: Mapping[str, str],
        preload: Sequence[str],
        name: str,
        cwd: Path,
        streams: tuple[int, int],
    ) -> Keeper:
        """Ask for a kernel that any Jupyter client may talk to: an ordinary one, with ZeroMQ's sockets.

        Args:
            spec: which kernel it is.
            environment: the digest of its environment's key.
            argv: its launcher's command line, with the connection file.
            env: its whole environment.
            preload: modules that it may have in memory.
            name: what it is called.
            cwd: its working directory.
            streams: descriptors of its stdout and stderr.

        Raises:
            NotForked: it can't be had.
        """
        key = fingerprint(spec, environment, env, ())
        control = self._server(key, spec, starting(env))
        own = {**env, "JPY_PARENT_PID": "1"}  # its keeper watches over it, and sees when its client is gone
        launch = {"argv": list(argv), "env": own, "cwd": str(cwd), "log": os.devnull, "closer": []}
        told = {"preload": _fitting(preload, cwd, env), "argv": list(argv), "mode": "sockets"}
        return self._ask(key, control, {"op": "keep", "run": name, **told}, launch, streams)

    def _ask(
        self,
        key: str,
        control: socket.socket,
        request: Mapping[str, object],
        launch: Mapping[str, Any],
        more: tuple[int, int],
    ) -> Keeper:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, launch_file(launch) as spec_file:
            descriptors = array.array("i", [theirs.fileno(), spec_file.fileno(), *more])
            try:
                control.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            except OSError as error:
                ours.close()
                self.drop(key)
                raise NotForked(f"the fork server is gone ({error.strerror})") from error
        return Keeper(ours)

    def failed(self, preload: Sequence[str]) -> None:
        """Hear that no kernel came of what was asked for: what fails twice is not asked for again.

        Args:
            preload: what the kernel was to have in memory.
        """
        with self._lock:
            names = tuple(preload)
            self._failed[names] = self._failed.get(names, 0) + 1
        self.drop_all(patience=0.1)

    def worked(self, preload: Sequence[str]) -> None:
        """Hear that a kernel came of what was asked for."""
        with self._lock:
            self._failed.pop(tuple(preload), None)

    def _bearable(self, preload: list[str]) -> list[str]:
        for names in (preload, []):
            if self._failed.get(tuple(names), 0) < _TRIES:
                return names
        raise NotForked("the fork server failed before")

    def drop(self, key: str) -> None:
        """Forget a server; the next run that is worth it gets another."""
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.server is not None:
                _let_go(known.server.control, known.server.process, os.getpid(), patience=0.5)
                known.server = None

    def drop_all(self, patience: float = 5.0) -> None:
        """Let every server end, once its last run has ended.

        Args:
            patience: seconds until it is killed.
        """
        with self._lock:
            servers = [known.server for known in self._known.values() if known.server is not None]
            if self._ahead is not None:
                servers.append(_Server(self._ahead.control, self._ahead.process))
                self._ahead = None
            self._known.clear()
        for server in servers:
            _let_go(server.control, server.process, os.getpid(), patience)

    # --- servers -------------------------------------------------------------------------------

    def _server(self, key: str, spec: KernelSpec, environ: Mapping[str, str]) -> socket.socket:
        with self._lock:
            known = self._known.setdefault(key, _Known())
            if known.refused:
                raise NotForked(known.refused)
            if known.server is not None:
                self._hear(known)
            if known.server is None and (found := standing.connect(key, environ)) is not None:
                known.server = _Server(found, None)
            if known.server is None:
                known.server = self._taken(spec, environ) or _start(spec, environ, self._idle)
                weakref.finalize(self, _let_go, known.server.control, known.server.process, os.getpid())
            return known.server.control

    def _taken(self, spec: KernelSpec, environ: Mapping[str, str]) -> _Server | None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.fits(str(spec.python), _options(spec), environ):
            return _Server(ahead.control, ahead.process)
        if ahead is not None:
            ahead.forgo()
        return None

    def _hear(self, known: _Known) -> None:
        """Take what a server says of itself."""
        server = known.server
        while server is not None and readable(server.control, 0.0):
            try:
                data = server.control.recv(1 << 16)
            except OSError:
                data = b""
            news: dict[str, Any] = json.loads(data) if data else {"event": "gone"}
            if news["event"] == "ready":
                continue
            _let_go(server.control, server.process, os.getpid(), patience=0.5)
            known.server = server = None
            if news["event"] == "refused":
                known.refused = f"the fork server cannot serve this environment: {news['error']}"
                raise NotForked(known.refused)


def forked_argv(spec: KernelSpec) -> list[str]:
    """Return the command line that a forked kernel shows.

    Raises:
        NotForked: the kernel spec is started in a way that a fork can't be the same as.
    """
    if sys.platform != "linux":
        raise NotForked("kernels are forked on Linux only")
    if not spec.is_ipykernel:
        raise NotForked(f"the kernel {spec.name} is not IPython's")
    words = spec.argv[1:]
    at = next((n for n in range(len(words)) if words[n : n + len(_LAUNCHER)] == _LAUNCHER), None)
    if at is None or any(not word.startswith("-") for word in words[:at]):
        raise NotForked(f"the kernel spec {spec.name} is started in a way of its own")
    return ["ipykernel_launcher.py", *words[at + len(_LAUNCHER) :], "--HistoryManager.enabled=False"]


def application_argv(spec: KernelSpec, command: Sequence[str]) -> list[str]:
    """Return what the launcher would find as its command line.

    Args:
        spec: the kernel spec.
        command: the whole of it, as it would be started.

    Raises:
        NotForked: it is started in a way that a fork can't be the same as.
    """
    forked_argv(spec)
    begin = spec.argv.index("-m")
    if list(command[1 : begin + 2]) != list(spec.argv[1 : begin + 2]) or command[begin + 2 : begin + 3] != ["-f"]:
        raise NotForked(f"the kernel {spec.name} is started by another command than its spec's")
    return ["ipykernel_launcher.py", *command[begin + 2 :]]


def _options(spec: KernelSpec) -> list[str]:
    """Return the interpreter's own options."""
    return list(spec.argv[1 : spec.argv.index("-m")])


def _fitting(preload: Sequence[str], cwd: Path, env: Mapping[str, str]) -> list[str]:
    """Leave out what reads its settings from the working directory while it is imported, if they are there."""
    settings = (cwd / "matplotlibrc").exists() and "MATPLOTLIBRC" not in env
    return [name for name in preload if not (settings and name.partition(".")[0] == "matplotlib")]


def _may_wait(cwd: Path, env: Mapping[str, str]) -> bool:
    """Return whether a kernel may go through IPython's start before it knows its run: nothing there may look."""
    names = [f"{name}.{end}" for name in ("ipython_config", "ipython_kernel_config") for end in ("py", "json")]
    home = Path(env.get("IPYTHONDIR") or Path(env.get("HOME", "/")) / ".ipython")
    startup = home / "profile_default" / "startup"
    code = [*startup.glob("*.py"), *startup.glob("*.ipy")] if startup.is_dir() else []
    return not (code or env.get("PYTHONSTARTUP") or any((cwd / name).exists() for name in names))


def _rights() -> list[Any]:
    """Return what a process hands on to those that it starts, and a server to its kernels: mask, limits, priority."""
    names = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))
    limits = [resource.getrlimit(getattr(resource, name)) for name in names]
    status = Path("/proc/self/status").read_text("ascii", "replace") if sys.platform == "linux" else ""
    mask = next((line for line in status.splitlines() if line.startswith("Umask:")), "")
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [mask, limits, os.getpriority(os.PRIO_PROCESS, 0), usable]


def command_of(spec: KernelSpec, control: str, idle: float) -> list[str]:
    """Return the command line of a server for a kernel spec's interpreter (see `head_start.command`)."""
    return head_start.command(str(spec.python), _options(spec), control, idle)


def _start(spec: KernelSpec, environ: Mapping[str, str], idle: float) -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        return _Server(ours, head_start.launch(command_of(spec, str(theirs.fileno()), idle), environ, theirs))


def _let_go(control: socket.socket, process: subprocess.Popen[bytes] | None, owner: int, patience: float = 5.0) -> None:
    """Let a server end. One that does not is killed: the keepers of its runs do without it."""
    control.close()
    if process is not None and owner == os.getpid():
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
