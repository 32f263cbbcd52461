"""Whether kernels can be started, held and spoken to here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from nbprod.errors import NbprodError
from nbprod.project.project import Project

__all__ = ["Finding", "Health", "check_kernels", "check_memory_events", "check_runtime_folder", "check_supervisor"]

_TIMEOUT = 30.0
"""Seconds for an interpreter or a process to show that it works."""
_HAS_KERNEL = "import importlib.util, sys; sys.exit(importlib.util.find_spec('ipykernel') is None)"
_DETACHES = "import subprocess, sys; subprocess.Popen(['sleep', '60'], start_new_session=True); print('up', flush=True)"


class Health(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing.

    Args:
        what: the thing.
        health: how it is.
        found: what was found.
        advice: what to do about it; of no account where it is well.
    """

    what: str
    health: Health
    found: str
    advice: str = ""


def check_kernels(project: Project) -> Iterator[Finding]:
    """Find the kernel specs and ask each one's interpreter whether it can run a kernel."""
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415 - slow to import

    from nbprod.kernels.spec import find_kernel_spec  # noqa: PLC0415

    names = sorted(KernelSpecManager().find_kernel_specs())
    if not names:
        advice = "Install one: `python -m pip install ipykernel && python -m ipykernel install --user`."
        yield Finding("kernels", Health.FAIL, "no kernel spec was found", advice)
    for name in names:
        what = f"kernel {name}"
        try:
            spec = find_kernel_spec(name)
        except (NbprodError, OSError, ValueError) as error:
            yield Finding(what, Health.WARN, f"its spec cannot be read: {error}", "Install the kernel anew.")
            continue
        program = str(spec.python) if spec.python is not None else spec.argv[0]
        if spec.python is None:
            found = shutil.which(program, path=project.environ.get("PATH"))
            advice = f"Install {program}, or remove the spec with `jupyter kernelspec remove {name}`."
            yield Finding(what, Health.WARN if found is None else Health.OK, f"{program}, {spec.language}", advice)
        else:
            yield _python_kernel(what, name, program)


def _python_kernel(what: str, name: str, program: str) -> Finding:
    try:
        done = subprocess.run([program, "-c", _HAS_KERNEL], timeout=_TIMEOUT, capture_output=True, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        advice = f"Install the kernel anew, or remove its spec with `jupyter kernelspec remove {name}`."
        return Finding(what, Health.WARN, f"{program} does not start: {error}", advice)
    if done.returncode:
        return Finding(what, Health.WARN, f"{program} has no ipykernel", f"Run `{program} -m pip install ipykernel`.")
    return Finding(what, Health.OK, program)


def check_supervisor(project: Project) -> Iterator[Finding]:
    """Have a process held that detaches a child, end it, and see whether the child is gone too."""
    from nbprod.execution.supervisor import Supervisor  # noqa: PLC0415

    supervisor = Supervisor()
    mark = f"doctor-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="nbp-") as folder:
        log = Path(folder) / "log"
        environ = {**project.environ, "NBPROD_RUN_ID": mark}
        try:
            keeper = supervisor.keep(
                run_id=mark, argv=[sys.executable, "-c", _DETACHES], env=environ, cwd=Path(folder), log=log
            )
            deadline = time.monotonic() + _TIMEOUT
            while keeper.alive and time.monotonic() < deadline:
                keeper.pump(0.5)
            keeper.end(0.0)
            keeper.release()
        except (NbprodError, OSError) as error:
            yield Finding("supervisor", Health.FAIL, str(error), "Report this: no notebook can be run here.")
            return
        finally:
            supervisor.close()
        printed = log.read_text("utf-8", "replace") if log.exists() else ""
    if "up" not in printed:
        yield Finding("supervisor", Health.FAIL, f"it could not start a process: {printed[-200:]}", "Report this.")
        return
    left = _still_there(mark)
    if left:
        advice = "Processes that a notebook detaches outlive its run here; end them by hand."
        yield Finding("supervisor", Health.WARN, f"a detached process survived (pid {left[0]})", advice)
    else:
        yield Finding("supervisor", Health.OK, "holds a notebook's processes, detached ones too, and ends them")


def _still_there(mark: str) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"NBPROD_RUN_ID={mark}".encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def check_runtime_folder(project: Project) -> Iterator[Finding]:
    """See whether kernels can be reached over private sockets instead of TCP."""
    from nbprod.kernels.connection import open_connection  # noqa: PLC0415

    try:
        connection = open_connection("python3", project.environ)
    except NbprodError as error:
        yield Finding("sockets", Health.FAIL, error.found or error.what, error.hint or "")
        return
    place = connection.folder.parent
    connection.close()
    if connection.transport != "ipc":
        advice = "Kernels listen on local TCP ports instead; set XDG_RUNTIME_DIR to a short private folder."
        yield Finding("sockets", Health.WARN, f"paths below {place} are too long for sockets (107 bytes)", advice)
        return
    wanted = project.environ.get("XDG_RUNTIME_DIR")
    if wanted and place != Path(wanted):
        advice = "Make the folder, or unset the variable; the temp folder serves meanwhile."
        yield Finding("sockets", Health.WARN, f"XDG_RUNTIME_DIR is {wanted}, which cannot be written to", advice)
        return
    why = "" if wanted else " (XDG_RUNTIME_DIR is not set; the temp folder serves)"
    yield Finding("sockets", Health.OK, f"private ones below {place}{why}")


def check_memory_events(_: Project) -> Iterator[Finding]:
    """See whether a memory cgroup counts out-of-memory kills, so that a killed kernel's record can name the cause."""
    if sys.platform != "linux":
        return
    place = next((path for path in _memory_events() if path.is_file()), None)
    if place is None:
        advice = "A kernel killed for want of memory is recorded as killed by SIGKILL, without the cause."
        yield Finding("cgroup", Health.WARN, "no memory cgroup counts out-of-memory kills here", advice)
    else:
        yield Finding("cgroup", Health.OK, f"out-of-memory kills are counted in {place}")


def _memory_events() -> Iterator[Path]:
    """Yield where the process's own cgroup would count them: version 2, version 1 (cgroups(7))."""
    try:
        lines = Path("/proc/self/cgroup").read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            yield Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
        elif controllers == "":
            yield Path(f"/sys/fs/cgroup{path}/memory.events")
            yield Path(f"/sys/fs/cgroup/unified{path}/memory.events")
