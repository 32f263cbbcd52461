"""Processes of one test, known by a mark in their environment; and the proof that none outlives it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MARK = "NBPROD_TEST_MARK"


def marked(mark: str) -> set[int]:
    """Return the living processes whose environment has the mark (zombies have none)."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found - {os.getpid()}


def zombies() -> dict[int, tuple[int, str]]:
    """Return the zombies among this process's own children: clock ticks from boot to their start, and their names."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                name, _, rest = (entry / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
                fields = rest.split()
                if fields[0] == "Z" and int(fields[1]) == os.getpid():
                    found[int(entry.name)] = (int(fields[19]), name)
    return found


def eventually(true: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait until something holds, at most so long; return whether it does."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:200]
    return "(gone)"


@contextlib.contextmanager
def nothing_survives(seconds: float = 10.0) -> Iterator[str]:
    """Yield a mark for the environment of all that a test starts; fail, and clean up, if anything of it is left."""
    mark = secrets.token_hex(8)
    begun = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))

    def new() -> list[str]:  # not what an earlier test started and only now ended
        return [name for started, name in zombies().values() if started >= begun]

    try:
        yield mark
        eventually(lambda: not marked(mark), seconds)
        left = {pid: command_of(pid) for pid in marked(mark)}
        if left:
            pytest.fail(f"these outlived their run: {left}")
        if not eventually(lambda: not new(), 2.0):
            pytest.fail(f"zombies are left: {new()}")
    finally:
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
