"""A kernel for one run: launched early, driven once, ended for good."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.digest import Digest
from nbprod.errors import NotFound
from nbprod.execution.fork_servers import ForkServers
from nbprod.execution.supervisor import Exit, Keeper, Supervisor
from nbprod.kernels.connection import Connection, open_connection
from nbprod.kernels.pipe import PipeClient
from nbprod.kernels.spec import KernelSpec
from nbprod.record.launch import FORKED, LEAN, Launch

if TYPE_CHECKING:
    from nbprod.kernels.client import KernelClient

__all__ = ["Kernel", "fork_kernel", "launch_kernel"]

_LOG_TAIL = 2000


class Kernel:
    """One run's kernel."""

    def __init__(
        self,
        *,
        spec: KernelSpec,
        connection: Connection | None,
        keeper: Keeper,
        client: KernelClient | PipeClient,
        log: Path,
        launch: Launch,
        run_id: str,
        preload: tuple[str, ...] = (),
    ) -> None:
        self.run_id = run_id
        self.spec = spec
        self.keeper = keeper
        self.client = client
        self.preload = preload
        self._launch = launch
        self._connection = connection
        self._log = log
        self._ended = False

    @property
    def launch(self) -> Launch:
        """How it came into being; what was in memory is known once it has."""
        return replace(self._launch, preloaded=self.keeper.preloaded) if self._launch.how == FORKED else self._launch

    def log_tail(self) -> str:
        """Return the end of what the process itself wrote to its stdout and stderr."""
        with contextlib.suppress(OSError):
            return self._log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
        return ""

    def explain_death(self) -> str:
        """Say how the kernel's process ended: signal or exit status, out-of-memory kills, its last words."""
        exit_ = self.keeper.exit
        if exit_ is None:
            return "the kernel's keeper vanished, and the kernel with it"
        return _explain(exit_, self.log_tail())

    def end(self) -> None:
        """End the kernel and everything it started. Returns when nothing of it is alive."""
        if self._ended:
            return
        self._ended = True
        self.keeper.end(0.0)
        if self.keeper.lost:  # whoever could have ended what the kernel had started may be gone, too
            kill_leftovers(self.run_id)
        self._close()

    def _close(self) -> None:
        self.client.close()
        if self._connection is not None:
            self._connection.close()

    def disown(self) -> None:
        """Let go of a kernel that never came into being; should it yet, it ends at once, and the run goes on."""
        self._ended = True
        self.keeper.release()
        self._close()

    def release(self) -> None:
        """Let go of the kernel for good, once the run is closed in the ledger."""
        self.end()
        self.keeper.release()

    def abandon(self) -> None:
        """Leave the kernel and the closing of the run to the keeper: this process could not do it."""
        self.keeper.abandon()
        if not self._ended:
            self._ended = True
            self._close()


def _explain(exit_: Exit, log_tail: str) -> str:
    if exit_.signal is not None:
        try:
            name = signal.Signals(exit_.signal).name
        except ValueError:
            name = f"signal {exit_.signal}"
        text = f"the kernel was killed by {name}"
    else:
        text = f"the kernel's process exited with status {exit_.code}"
    if exit_.oom:
        text += f"; the cgroup counted {exit_.oom} out-of-memory kill{'s' * (exit_.oom > 1)} meanwhile"
    last = log_tail.splitlines()[-1:]
    return f"{text}; its last words: {last[0][:300]}" if last else text


def launch_kernel(
    spec: KernelSpec,
    *,
    supervisor: Supervisor,
    run_id: str,
    cwd: Path,
    environ: Mapping[str, str],
    extra_env: Mapping[str, str],
    log: Path,
    closer: Sequence[str] = (),
    mask: Callable[[bytes, Any], bytes] | None = None,
    why: str = "",
    driver: str = LEAN,
) -> Kernel:
    """Launch a kernel; returns at once, while it starts.

    Args:
        spec: which kernel.
        supervisor: who holds it.
        run_id: stands in its environment as NBPROD_RUN_ID, so that what is left of a run can be found.
        cwd: its working directory.
        environ: the environment that it inherits.
        extra_env: variables of this run (secrets among them).
        log: file for what the process itself writes.
        closer: command that closes the run should this process vanish.
        mask: applied to each message's content.
        why: why it is not a fork although it was to be.
        driver: who is to execute the cells.

    Raises:
        NotFound: the working directory is not there.
        KernelUnavailable: no folder for its sockets.
    """
    if not cwd.is_dir():
        raise NotFound(f"the working directory {cwd} is not there", hint="Create it, or set another with --cwd.")
    connection = open_connection(spec.name, environ)
    # ipykernel takes a parent of 1 as "no parent to watch" and then prints no banner on its stdout.
    extra = {**extra_env, "NBPROD_RUN_ID": run_id, "JPY_PARENT_PID": "1"}
    keeper = supervisor.keep(
        run_id=run_id,
        argv=spec.command(connection.file),
        env=spec.environment(environ, extra),
        cwd=cwd,
        log=log,
        closer=closer,
        secrets=extra_env,
    )
    launch = Launch(why=why, driver=driver)
    client = _client_for(driver)(connection, mask)
    return Kernel(spec=spec, connection=connection, keeper=keeper, client=client, log=log, launch=launch, run_id=run_id)


def _client_for(driver: str) -> type[KernelClient]:
    if driver == LEAN:
        from nbprod.kernels.client import KernelClient  # noqa: PLC0415 - ZeroMQ is slow to import

        return KernelClient
    from nbprod.kernels.jupyter import JupyterClient  # noqa: PLC0415 - jupyter_client is slow to import

    return JupyterClient


def fork_kernel(
    spec: KernelSpec,
    *,
    servers: ForkServers,
    environment: Digest,
    preload: Sequence[str],
    run_id: str,
    cwd: Path,
    environ: Mapping[str, str],
    extra_env: Mapping[str, str],
    log: Path,
    closer: Sequence[str] = (),
    mask: Callable[[bytes, Any], bytes] | None = None,
) -> Kernel:
    """Have a kernel forked; returns at once, while it comes up (see `launch_kernel` and `ForkServers.fork`).

    Raises:
        NotForked: it is to be launched in the ordinary way.
    """
    forked = servers.fork(
        spec,
        environment=environment,
        environ=environ,
        extra_env=extra_env,
        preload=preload,
        run_id=run_id,
        cwd=cwd,
        log=log,
        closer=closer,
    )
    client = PipeClient(forked.channel, forked.side, mask)
    return Kernel(
        spec=spec,
        connection=None,
        keeper=forked.keeper,
        client=client,
        log=log,
        launch=Launch(how=FORKED),
        run_id=run_id,
        preload=forked.preload,
    )


def kill_leftovers(run_id: str) -> int:
    """Kill what still runs of a run whose supervisor is gone, found by NBPROD_RUN_ID in its environment (Linux).

    Returns:
        How many processes were killed.
    """
    mark = f"NBPROD_RUN_ID={run_id}".encode()
    killed = 0
    with contextlib.suppress(FileNotFoundError):
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed += 1
    if killed:
        time.sleep(0.05)
    return killed
