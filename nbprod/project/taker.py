"""The project that takes the new runs of a bundle: one that is there, or one made for them and only for them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nbprod.errors import CallerError
from nbprod.project.project import Project
from nbprod.project.settings import read_settings

__all__ = ["Taker"]


class Taker:
    """Takes runs; where it is let go of before one has begun, nothing is left of what was made for them.

    Args:
        folder: the project's; None: a new one is made among the temporary folders.
        environ: the environment.

    Attributes:
        project: takes them.
        temporary: whether it is a new one among the temporary folders.
        takes: whether a run has begun.

    Raises:
        SettingsError: the folder has settings, and they are wrong.
        CallerError: it is no folder, and none can be made there.
    """

    def __init__(self, folder: Path | None, environ: Mapping[str, str]) -> None:
        self.temporary = folder is None
        self._made: Path | None = None
        if folder is None:
            folder = self._made = Path(tempfile.mkdtemp(prefix="nbprod-home-"))
        else:
            missing = [each for each in (folder, *folder.parents) if not each.exists()]
            self._made = missing[-1] if missing else None
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                what = f"no project can be made at {folder}"
                raise CallerError(what, expected="a folder, or a place for one", found=error.strerror) from error
        root = folder.resolve()
        self.project = Project(root, read_settings(root, environ), environ)
        if self._made is None and not self.project.home.folder.exists():
            self._made = self.project.home.folder
        self.takes = False

    def take(self) -> None:
        """Stay from now on: a run begins."""
        self.takes = True

    def let_go(self) -> None:
        """Remove what was made, unless a run has begun."""
        if self.takes or self._made is None:
            return
        self.project.close()
        if self.project.home.has_ledger():
            self.project.home.ledger.close()
        shutil.rmtree(self._made, ignore_errors=True)
