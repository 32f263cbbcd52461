"""Reviews of published versions: one more kind of event about steps."""

from __future__ import annotations

from alembic import op

from nbprod.ledger.migrations.script import run_script

revision = "0005"
down_revision = "0004"

__all__ = ["down_revision", "revision", "upgrade"]

_BEFORE = "kind IN ('StepPublished', 'AliasMoved')"
_AFTER = "kind IN ('StepPublished', 'AliasMoved', 'StepReviewed')"


def upgrade() -> None:
    """Bring the tables from version 0004 to 0005.

    SQLite has no statement for it but to copy the table, with a million events. A looser CHECK changes nothing on disk:
    its manual's other way (lang_altertable, section 7) changes the table's text alone.
    """
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        run_script(revision)
        return
    bind.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = bind.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'events'", (_BEFORE, _AFTER)
    )
    assert changed.rowcount == 1  # noqa: S101 - version 0002 made it
    version = bind.exec_driver_sql("PRAGMA schema_version").scalar()
    bind.exec_driver_sql(f"PRAGMA schema_version = {int(version or 0) + 1}")
    bind.exec_driver_sql("PRAGMA writable_schema = RESET")
