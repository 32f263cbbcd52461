"""How a run's kernel is launched, and who drives it."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from nbprod.execution.driver import Driver
from nbprod.execution.fork_servers import NotForked
from nbprod.execution.kernel import Kernel, fork_kernel, launch_kernel
from nbprod.kernels.imports import preloads
from nbprod.kernels.masked import mask_content
from nbprod.record.launch import LEAN
from nbprod.runner.ports import Ports
from nbprod.runner.prepare import Prepared

__all__ = ["driver_of", "launch"]


def launch(prepared: Prepared, ports: Ports, why: str = "") -> Kernel:
    """Launch the kernel of a run; returns at once, while it comes up.

    Args:
        prepared: the run.
        ports: the outside world.
        why: why it is not to be forked, if that was tried already.
    """
    warmth, driver = ports.warmth, prepared.job.driver
    how: dict[str, Any] = {
        "run_id": str(prepared.run_id),
        "cwd": prepared.cwd,
        "environ": ports.environ,
        "extra_env": prepared.secrets,
        "log": prepared.folder.kernel_log,
        "closer": (sys.executable, "-m", "nbprod.runner.closer", str(prepared.folder.path), *prepared.secrets),
        "mask": partial(mask_content, masker=prepared.masker) if prepared.secrets else None,
    }
    if prepared.environment is not None and not why:
        if driver != LEAN:
            why = f"the driver {driver} speaks to kernels over ZeroMQ, and a forked one has no such sockets"
            return launch_kernel(prepared.spec, supervisor=ports.supervisor, why=why, driver=driver, **how)
        cells = (cell.source for cell in prepared.plan.cells if not cell.skip)
        try:
            return fork_kernel(
                prepared.spec,
                servers=ports.forks,
                environment=prepared.environment.key.digest,
                preload=preloads(cells, warmth.preload),
                **how,
            )
        except NotForked as reason:
            why = str(reason)
    return launch_kernel(prepared.spec, supervisor=ports.supervisor, why=why, driver=driver, **how)


def driver_of(kernel: Kernel) -> type[Driver]:
    """Return who drives a kernel."""
    if kernel.launch.driver == LEAN:
        return Driver
    from nbprod.execution.nbclient_driver import NbclientDriver  # noqa: PLC0415 - nbclient is slow to import

    return NbclientDriver
