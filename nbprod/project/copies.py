"""Copies of a run's bytes in the project's folder, which people open: they go with the bytes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable

from nbprod.digest import Digest
from nbprod.errors import CallerError
from nbprod.project.home import Home
from nbprod.record.ids import RunId

__all__ = ["forget_copies", "forget_run"]


def forget_run(home: Home, run_id: RunId) -> None:
    """Remove what lies here of a run that has ended: the executed notebook in its folder, and the page made of it."""
    shutil.rmtree(home.folder / "runs" / str(run_id), ignore_errors=True)
    with contextlib.suppress(OSError):
        (home.folder / "pages" / f"{run_id}.html").unlink()


def forget_copies(home: Home, gone: Callable[[Digest], bool], closed: Callable[[RunId], bool]) -> None:
    """Remove the copies on this machine of what was erased, perhaps from another machine.

    Args:
        home: the project's place.
        gone: whether an object was erased and is not in the store.
        closed: whether a run's executed notebook was.
    """
    for path in (home.folder / "views").glob("*/*"):
        with contextlib.suppress(CallerError):  # not ours
            if gone(digest := Digest(path.parent.name + path.name)):
                home.forget_view(digest)
    names = {path.stem for folder in ("runs", "pages") for path in (home.folder / folder).glob("*")}
    for name in names:
        with contextlib.suppress(CallerError, ValueError):
            if closed(run_id := RunId(name)):
                forget_run(home, run_id)
