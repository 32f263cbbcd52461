"""An index for texts found anywhere in a run's words, by groups of three characters."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from nbprod.ledger.migrations.script import run_script

revision = "0003"
down_revision = "0002"

__all__ = ["down_revision", "revision", "upgrade"]


def upgrade() -> None:
    """Bring the tables from version 0002 to 0003.

    Where the database can't have the index, there is none, and texts are found as before, run by run.
    """
    bind = op.get_bind()
    modules = "SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'"
    if bind.dialect.name == "postgresql" or bind.execute(text(modules)).scalar():
        run_script(revision)
