"""A schema version's SQL, run statement by statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files

from alembic import op

__all__ = ["run_script"]


def run_script(revision: str) -> None:
    """Run the SQL of a schema version for the database at hand: `versions/vREVISION_DIALECT.sql`."""
    bind = op.get_bind()
    script = files("nbprod.ledger.migrations.versions").joinpath(f"v{revision}_{bind.dialect.name}.sql")
    sql = script.read_text("utf-8")
    if bind.dialect.name == "postgresql":
        # The server splits a script itself, if it comes without parameters; functions hold semicolons.
        with closing(bind.connection.cursor()) as cursor:
            cursor.execute(sql)
        return
    for statement in _statements(sql):
        bind.exec_driver_sql(statement)


def _statements(script: str) -> Iterator[str]:
    """Split a script where SQLite itself sees a statement's end: triggers hold semicolons."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(pending):
            yield pending
            pending = ""
