"""Looking for runs that nobody closed, without making a ledger where there is none."""

from __future__ import annotations

from pathlib import Path

from nbprod.project.project import Project
from nbprod.record.ids import RunId

__all__ = ["close_lapsed", "has_ledger"]

_SQLITE = "sqlite:///"


def has_ledger(project: Project) -> bool:
    """Return whether anything was ever kept in the project's ledger. Opening one would make it."""
    path = project.home.ledger_url.removeprefix(_SQLITE)
    return "://" in path or (project.root / Path(path).expanduser()).is_file()


def close_lapsed(project: Project) -> list[RunId]:
    """Close the runs whose runner and supervisor are gone; a few milliseconds where there are none.

    Returns:
        The runs that were closed.
    """
    return project.recover() if has_ledger(project) else []
