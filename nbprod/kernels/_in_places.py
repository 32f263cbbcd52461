"""Which files an observed notebook's environment consists of; runs in the user's kernel before `_in_trace.py`.

nbprod never imports this file, see there. Standard library only, syntax of Python 3.8.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/run")
PERSONAL = (
    ".cache",
    ".ipython",
    ".jupyter",
    ".local/share/jupyter",
    ".local/share/fonts",
    ".fonts",
    ".config/matplotlib",
)


def below(folder: str) -> str:
    return folder.rstrip("/") + "/"


def both(folder: str) -> set[str]:
    """Return a folder as it is called and as it is called without links."""
    return {below(os.path.abspath(folder)), below(os.path.realpath(folder))}


def environment() -> set[str]:
    """Return the folders whose files are the environment, which the environment key stands for."""
    home = os.path.expanduser("~")
    folders = [*SYSTEM, *(os.path.join(home, name) for name in PERSONAL), *sysconfig.get_paths().values()]
    folders += [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *site.getsitepackages()]
    folders.append(site.getusersitepackages())
    folders += [os.environ[name] for name in ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR") if name in os.environ]
    for before, word in zip(sys.argv, sys.argv[1:]):
        if before == "-f":
            folders.append(os.path.dirname(word))  # the connection file's
    return set().union(*(both(folder) for folder in folders if folder)) - {"/"}


def installed_code() -> tuple[str, ...]:
    """Return the folders of what is installed in place: its sources are in the environment key, its data are not."""
    # An empty entry means the working directory.
    given = [os.path.abspath(folder) for folder in ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep)]]
    found = [folder for folder in sys.path if folder and os.path.abspath(folder) not in given]
    return tuple(sorted(set().union(*(both(folder) for folder in found)) - {"/"}))


class Places:
    """Knows of which paths to tell.

    Args:
        own: the run's own folder.
        always: folders whose files are always told of, unless they lie in a nested environment.
    """

    def __init__(self, own: str, always: list[str]) -> None:
        told = set().union(*(both(folder) for folder in always))
        hidden = (environment() - told) | both(own) | {os.path.join(tempfile.gettempdir(), "ipykernel_")}
        self.told, self.hidden = tuple(sorted(told)), tuple(sorted(hidden))
        self.code = installed_code()

    def wanted(self, path: str) -> bool:
        """Tell of the path? The longest folder decides: of a project below a prefix, and of a prefix below that."""
        told = path.startswith(self.told)
        if path.startswith(self.hidden):
            return told and self.longest(self.told, path) >= self.longest(self.hidden, path)
        return told or not (path.startswith(self.code) and path.endswith((".py", ".pyc", ".so")))

    @staticmethod
    def longest(folders: tuple[str, ...], path: str) -> int:
        return max(len(folder) for folder in folders if path.startswith(folder))
