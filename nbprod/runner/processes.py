"""A process as somebody else can find it again later: its number alone may have gone to another one."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Process", "start_ticks"]

_ENDED = "ZX"
"""States of proc_pid_stat(5): a zombie runs no more, it only waits for its parent to ask how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of some host.

    Args:
        host: the host's name.
        pid: its number there.
        ticks: clock ticks from the host's boot to its start; None where the system doesn't tell (macOS).
        space: the process id namespace in which the number counts; None where there is no such thing.
    """

    host: str
    pid: int
    ticks: int | None
    space: str | None

    @classmethod
    def this(cls) -> Self:
        """Return the calling process."""
        pid = os.getpid()
        return cls(host=socket.gethostname(), pid=pid, ticks=start_ticks(pid), space=_space())

    @property
    def here(self) -> bool:
        """Whether it could be found from here: of this host, and not of another container that is called like it."""
        return self.host == socket.gethostname() and self.space == _space()

    @property
    def gone(self) -> bool:
        """Whether it has ended for certain; false where that cannot be told from here."""
        if not self.here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # somebody else's: there is a process with this number
            pass
        found = _stat(self.pid)
        return found is not None and (found[0] in _ENDED or found[1] != self.ticks)


def start_ticks(pid: int) -> int | None:
    """Return the clock ticks from boot to a process's start; None if there is none, or the system doesn't tell."""
    found = _stat(pid)
    return None if found is None else found[1]


def _stat(pid: int) -> tuple[str, int] | None:
    """Return a process's state and the ticks to its start, fields 3 and 22 of proc_pid_stat(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode("ascii"), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _space() -> str | None:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
