"""A fork server that a command starts before it imports anything else: what it needs is up when the command is.

It is a guess: that the kernel will be of this very interpreter, in this process's environment. Where it is wrong, the
server ends unused.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbprod.kernels.bootstrap import SOURCES

__all__ = ["IDLE", "NOBODY", "HeadStart", "begin", "command", "launch", "runtime_folder", "starting"]

IDLE = 600.0
"""Seconds after which a server that nobody asks for anything ends, unless the settings say otherwise."""
NOBODY = "0" * 36
"""Stands for a run's id in the environment of what belongs to none."""

_HERE = Path(__file__).parent
_SCRIPT = _HERE / "fork_server.py"
_KERNELS = _HERE.parent / "kernels"
_IN_KERNEL = ("_in_pipe.py", "_in_fork.py")

_PASSING = ("PREFECT__", "SSH_", "TERM_", "VSCODE_", "GPG_", "DBUS_", "JPY_", "PYTEST_")
_PASSING_NAMES = frozenset(
    {
        *("_", "PWD", "OLDPWD", "SHLVL", "NBPROD_RUN_ID", "INVOCATION_ID", "JOURNAL_STREAM"),
        *("TERM", "COLORTERM", "COLUMNS", "LINES", "WINDOWID", "DISPLAY", "XDG_SESSION_ID"),
    }
)
"""Variables that say where a command came from. All others may change what a library does when it is imported."""


def starting(environ: Mapping[str, str], secrets: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables that may matter when libraries are imported.

    Args:
        environ: a kernel's environment.
        secrets: names of variables that no process but a run's own may have.
    """
    hidden = {*_PASSING_NAMES, *secrets}
    kept = {name: text for name, text in environ.items() if name not in hidden and not name.startswith(_PASSING)}
    return {**kept, "NBPROD_RUN_ID": NOBODY}


def command(python: str, options: Sequence[str], control: str, idle: float) -> list[str]:
    """Return the command line of a server.

    Args:
        python: the interpreter.
        options: its own.
        control: a descriptor's number, or the path to listen at.
        idle: seconds after which it ends if nobody asks for anything.
    """
    files = [str(_KERNELS / name) for name in (*_IN_KERNEL, *SOURCES)]
    return [python, *options, str(_SCRIPT), control, f"{idle:g}", *files]


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder in which servers listen that outlive a command; it need not be there.

    Args:
        environ: XDG_RUNTIME_DIR says where, else it is below the folder for temporary files.
    """
    given = environ.get("XDG_RUNTIME_DIR")
    return Path(given) / "nbprod" if given else Path(tempfile.gettempdir()) / f"nbprod-{os.getuid()}"


@dataclass(frozen=True, slots=True)
class HeadStart:
    """A server that is coming up, and what for.

    Args:
        control: our end of its socket.
        process: the server.
        python: its interpreter.
        variables: its environment.
    """

    control: socket.socket
    process: subprocess.Popen[bytes]
    python: str
    variables: Mapping[str, str]

    def fits(self, python: str, options: Sequence[str], variables: Mapping[str, str]) -> bool:
        """Return whether a server with these would be the same."""
        return python == self.python and not options and variables == self.variables

    def forgo(self) -> None:
        """End it: no run needs it, or none does any more."""
        self.control.close()
        self.process.kill()
        self.process.wait()


def launch(words: Sequence[str], variables: Mapping[str, str], control: socket.socket) -> subprocess.Popen[bytes]:
    """Start a server; `words` names the control's descriptor."""
    return subprocess.Popen(
        words,
        env=dict(variables),
        cwd="/",
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def begin(environ: Mapping[str, str]) -> HeadStart | None:
    """Start a server for kernels of this interpreter; None where none is to be forked, or one may be up already."""
    if sys.platform != "linux" or any(runtime_folder(environ).glob("*.sock")):
        return None
    if environ.get("NBPROD_WARM") == "false" or environ.get("NBPROD_DRIVER") == "nbclient":
        return None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    variables = starting(environ)
    with theirs:
        words = command(sys.executable, (), str(theirs.fileno()), IDLE)
        try:
            process = launch(words, variables, theirs)
        except OSError:
            ours.close()
            return None
    return HeadStart(ours, process, sys.executable, variables)
