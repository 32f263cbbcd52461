"""Events, and the index of runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from alembic import op

revision = "0001"
down_revision = None

__all__ = ["down_revision", "revision", "upgrade"]


def upgrade() -> None:
    """Make the tables of version 0001."""
    dialect = op.get_bind().dialect.name
    # Alembic loads this file by its path, outside any package.
    script = files("nbprod.ledger.migrations.versions").joinpath(f"v{revision}_{dialect}.sql")
    for statement in _statements(script.read_text("utf-8")):
        op.get_bind().exec_driver_sql(statement)


def _statements(script: str) -> Iterator[str]:
    """Split a script where SQLite itself sees a statement's end: triggers hold semicolons."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(pending):
            yield pending
            pending = ""
