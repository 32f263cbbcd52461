"""What a branch of the fork server has in memory, and for which runs that is the same as what they would import.

Loaded by the fork server by its path: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import sys


class Memory:
    """What a branch has imported, and whether a run would have imported the same.

    Args:
        modules: the names of all of it.
    """

    def __init__(self, modules: set[str]) -> None:
        self.tops = {name.partition(".")[0] for name in modules}
        installed = (sys.prefix + "/", sys.base_prefix + "/", sys.exec_prefix + "/")
        files = (getattr(sys.modules.get(name), "__file__", None) for name in modules)
        # What is installed is known by its environment; the rest, on PYTHONPATH, may be edited at any time.
        self.files = {file: self.state(file) for file in files if file and not file.startswith(installed)}

    @staticmethod
    def state(file: str) -> tuple[int, int] | None:
        """Return what tells a file from what it was."""
        try:
            status = os.stat(file)  # noqa: PTH116
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def stale(self) -> bool:
        """Return whether a file has changed since it was imported."""
        return any(self.state(file) != state for file, state in self.files.items())

    def unfit(self, cwd: str) -> str | None:
        """Return why a run in that folder must import for itself; None if it need not."""
        if self.tops:
            with contextlib.suppress(OSError), os.scandir(cwd) as entries:
                for entry in entries:
                    name, _, ending = entry.name.partition(".")
                    package = not ending and os.path.exists(entry.path + "/__init__.py")  # noqa: PTH110
                    if name in self.tops and (package or ending.rpartition(".")[2] in ("py", "pyc", "so")):
                        return f"the working directory has a module {name} of its own"
        return "a module that was in memory has been edited" if self.stale() else None
