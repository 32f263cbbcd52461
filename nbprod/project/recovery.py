"""Looking for runs that nobody closed, without making a ledger where there is none."""

from __future__ import annotations

from nbprod.ledger import RunQuery, RunRow
from nbprod.project.project import Project
from nbprod.record.ids import RunId
from nbprod.store import Delivery

__all__ = ["close_lapsed", "deliver", "has_ledger", "open_runs"]


def has_ledger(project: Project) -> bool:
    """Return whether anything was ever kept in the project's ledger. Opening one would make it."""
    return project.home.has_ledger()


def close_lapsed(project: Project) -> list[RunId]:
    """Close the runs whose runner and supervisor are gone; a few milliseconds where there are none.

    Returns:
        The runs that were closed.
    """
    return project.recover()


def deliver(project: Project) -> Delivery:
    """Hand over to the store what waits on this machine because the store could not be reached."""
    return project.deliver()


def open_runs(project: Project) -> list[RunRow]:
    """Return the runs that have not ended, with the ends of their leases."""
    return list(project.home.ledger.runs(RunQuery(running=True))) if has_ledger(project) else []
