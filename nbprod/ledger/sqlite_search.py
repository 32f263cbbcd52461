"""Texts in SQLite, found by groups of three characters (the full-text index `run_search`, sqlite.org/fts5.html)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, column, select, table, text
from sqlalchemy.exc import DatabaseError

from nbprod.ledger.tables import events

__all__ = ["check_search", "search"]

_GROUP = 3
"""Characters of a group."""

_SEARCH = table("run_search", column("rowid"), column("run_search"))


def search(connection: Connection, sought: str) -> Select[Any] | None:
    """Return the query for the ids of the runs that hold all groups of a text; None where there is no index for it.

    Args:
        connection: to the database.
        sought: as `sought_text` writes it.
    """
    groups = sorted({sought[place : place + _GROUP] for place in range(len(sought) - _GROUP + 1)})
    if not groups or not _is_there(connection):
        return None
    quoted = ('"' + group.replace('"', '""') + '"' for group in groups)
    matching = select(_SEARCH.c.rowid).where(_SEARCH.c.run_search.op("MATCH")(" AND ".join(quoted)))
    return select(events.c.run_id).where(events.c.seq.in_(matching))


def check_search(connection: Connection) -> list[str]:
    """Compare the index with the runs; return where they differ, for people."""
    if not _is_there(connection):
        return []
    try:
        connection.execute(text("INSERT INTO run_search (run_search, rank) VALUES ('integrity-check', 1)"))
    except DatabaseError as error:
        if not str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_CORRUPT"):
            raise
        mend = "INSERT INTO run_search (run_search) VALUES ('rebuild')"
        return [f"the index of texts (run_search) differs from the runs; this makes it anew: {mend}"]
    return []


def _is_there(connection: Connection) -> bool:
    there = text("SELECT count(*) FROM sqlite_master WHERE name = 'run_search'")
    return bool(connection.execute(there).scalar())
