"""Copies of a run's bytes in the project's folder, which people open: they go with the bytes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable

from nbprod.digest import Digest
from nbprod.errors import CallerError
from nbprod.project.home import Home
from nbprod.record.ids import RunId

__all__ = ["forget_copies", "forget_run", "local_runs"]


def forget_run(home: Home, run_id: RunId) -> None:
    """Remove what lies here of a run that has ended: the executed notebook in its folder, and the page made of it."""
    shutil.rmtree(home.folder / "runs" / str(run_id), ignore_errors=True)
    with contextlib.suppress(OSError):
        (home.folder / "pages" / f"{run_id}.html").unlink()


def local_runs(home: Home) -> set[str]:
    """Return the ids of the runs of which something lies here: a folder, or a page."""
    return {path.stem for folder in ("runs", "pages") for path in (home.folder / folder).glob("*")}


def forget_copies(home: Home, gone: Callable[[Digest], bool]) -> None:
    """Remove the local files that were made of objects.

    Args:
        home: the project's place.
        gone: whether an object was erased and is not in the store.
    """
    for path in (home.folder / "views").glob("*/*"):
        with contextlib.suppress(CallerError):  # not ours
            if gone(digest := Digest(path.parent.name + path.name)):
                home.forget_view(digest)
