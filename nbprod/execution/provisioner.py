"""Jupyter's kernel provisioner `nbprod-warm`: ordinary kernels for any Jupyter client, forked from a server.

A kernel spec names it (`nbprod warm install` writes one):

    "metadata": {"kernel_provisioner": {"provisioner_name": "nbprod-warm", "config": {"preload": ["pandas"]}}}

The kernels are IPython's own application with ZeroMQ's sockets. Each has a keeper, as a run's kernel has: should the
client vanish, the kernel and all that it started end with it. What can't be forked is launched as
jupyter_client's LocalProvisioner does it, and the log says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Float, List, Unicode

from nbprod.environment.probe import EnvironmentProbe
from nbprod.errors import EnvironmentFault, NbprodError
from nbprod.execution.fork_servers import ForkServers, NotForked, application_argv
from nbprod.execution.head_start import runtime_folder
from nbprod.execution.standing import private_folder
from nbprod.execution.supervisor import Keeper
from nbprod.kernels.spec import KernelSpec, kernel_spec_of

__all__ = ["ForkedProcess", "WarmProvisioner"]

_POLL = 0.005
"""Seconds between two looks whether a kernel is there."""
_LOST = -signal.SIGKILL
"""How a kernel ends whose keeper has vanished: by its parent-death signal."""
_KNOWN = frozenset({"cwd", "env", "stdin", "stdout", "stderr", "independent", "extra_arguments", "kernel_id"})


class ForkedProcess:
    """A forked kernel's process, with the part of subprocess.Popen's face that jupyter_client uses.

    Args:
        keeper: the kernel's, launched.
    """

    stdin = stdout = stderr = None

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.pid = keeper.pid or 0
        # When this process ends before it has let go of the kernel, the keeper shall not wait for its sockets' end.
        self._letting_go = weakref.finalize(self, keeper.abandon)

    @property
    def returncode(self) -> int | None:
        """The exit status, or the negative number of the signal that ended it; None while it lives."""
        exit_ = self._keeper.exit
        if exit_ is None:
            return _LOST if self._keeper.lost else None
        return -exit_.signal if exit_.signal is not None else exit_.code

    def poll(self) -> int | None:
        """Take the keeper's news; return `returncode`."""
        while self._letting_go.alive and self._keeper.alive and self._keeper.pump():
            pass
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: it has not come within `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("kernel", timeout or 0.0)
            self._keeper.pump(0.1)
        return code

    def send_signal(self, number: int) -> None:
        """Signal the kernel's process group; that it is gone is no error."""
        if self.poll() is None:
            self._keeper.signal(number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """End what is left of it and of all that it started; return when nothing is."""
        if self._letting_go.alive:
            self._keeper.end(0.0)
            self._letting_go.detach()
            self._keeper.release()


class WarmProvisioner(LocalProvisioner):
    """Launches kernels as forks of a server that has IPython's kernel in memory."""

    process: Any = None  # a ForkedProcess, or a Popen where it could not be forked

    preload = List(Unicode(), help="Modules that each kernel has in memory from the start; none by default.").tag(
        config=True
    )
    fork_timeout = Float(60.0, help="Seconds until a kernel that does not come is started without the server.").tag(
        config=True
    )

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Launch the kernel; return its connection info."""
        try:
            forked = await self._fork(cmd, kwargs)
        except (NotForked, NbprodError, OSError) as reason:
            self.log.warning("The kernel is started as a process of its own, not forked: %s", reason)
            return await super().launch_kernel(cmd, **kwargs)
        self.process = forked
        self.pid = self.pgid = forked.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel's process group."""
        if isinstance(self.process, ForkedProcess):
            self.process.send_signal(signum)
        else:
            await super().send_signal(signum)

    async def wait(self) -> int | None:
        """Wait for the kernel's end, and end what it left behind; return its exit status."""
        forked = self.process
        if not isinstance(forked, ForkedProcess):
            return await super().wait()
        while forked.poll() is None:  # noqa: ASYNC110 - the news comes from another process
            await asyncio.sleep(_POLL)
        await self._end(forked)
        return forked.returncode

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - jupyter_client's signature
        """End what is left of the kernel."""
        if isinstance(self.process, ForkedProcess):
            await self._end(self.process)
        await super().cleanup(restart=restart)

    async def _end(self, forked: ForkedProcess) -> None:
        await asyncio.to_thread(forked.end)
        if self.process is forked:
            self.process = None

    async def _fork(self, command: Sequence[str], options: Mapping[str, Any]) -> ForkedProcess:
        """Have the kernel forked.

        Raises:
            NotForked, NbprodError, OSError: it is to be started in the ordinary way.
        """
        if unknown := sorted(name for name in options if name not in _KNOWN):
            raise NotForked(f"it was to be launched with {', '.join(unknown)}")
        if options.get("independent"):
            raise NotForked("it is to outlive its client")
        spec = kernel_spec_of(getattr(self.parent, "kernel_name", "") or "", self.kernel_spec)
        argv = application_argv(spec, command)
        with _streams(options) as streams:
            keeper = await asyncio.to_thread(self._ask, spec, argv, options, streams)
        try:
            await self._launched(keeper)
        except BaseException:
            keeper.abandon()
            raise
        return ForkedProcess(keeper)

    def _ask(self, spec: KernelSpec, argv: list[str], options: Mapping[str, Any], streams: tuple[int, int]) -> Keeper:
        env = options["env"]
        forks, probe = _shared(os.getpid())
        return forks.fork_application(
            spec,
            environment=probe.environment_of(spec.python, spec.to_json(), env).key.digest,
            argv=argv,
            env=env,
            preload=tuple(self.preload),
            name=str(self.kernel_id),
            cwd=Path(options.get("cwd") or ".").absolute(),
            streams=streams,
        )

    async def _launched(self, keeper: Keeper) -> None:
        """Return once the kernel's process is there."""
        deadline = time.monotonic() + self.fork_timeout
        while keeper.pid is None:
            if keeper.pump():
                continue
            if keeper.lost or time.monotonic() > deadline:
                _shared(os.getpid())[0].drop_all(patience=0.1)
                ended = "the fork server ended"
                raise NotForked(ended if keeper.lost else f"the fork server gave no answer in {self.fork_timeout:g} s")
            await asyncio.sleep(_POLL)


@functools.cache
def _shared(_: int) -> tuple[ForkServers, EnvironmentProbe]:
    """Return what all provisioners of one process share; a forked child has its own.

    Args:
        _: the process's id.
    """
    try:
        cache: Path | None = private_folder(runtime_folder(os.environ))
    except (EnvironmentFault, OSError):
        cache = None  # it costs time, nothing else
    return ForkServers(), EnvironmentProbe(cache)


@contextlib.contextmanager
def _streams(options: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield descriptors for the kernel's stdout and stderr, as subprocess.Popen understands the options.

    Raises:
        NotForked: one is to be a pipe.
    """
    with contextlib.ExitStack() as stack:
        descriptors: list[int] = []
        for name, own in (("stdout", 1), ("stderr", 2)):
            given = options.get(name)
            if given == subprocess.PIPE:
                raise NotForked(f"its {name} is to be a pipe")
            if given == subprocess.STDOUT:
                descriptors.append(descriptors[0])
            elif given == subprocess.DEVNULL or (given is None and not _is_open(own)):
                descriptors.append(stack.enter_context(Path(os.devnull).open("wb")).fileno())
            elif given is None:
                descriptors.append(own)
            else:
                descriptors.append(given if isinstance(given, int) else given.fileno())
        yield descriptors[0], descriptors[1]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
