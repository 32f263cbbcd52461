"""An index of the runs of which people said something."""

from __future__ import annotations

from nbprod.ledger.migrations.script import run_script

revision = "0007"
down_revision = "0006"

__all__ = ["down_revision", "revision", "upgrade"]


def upgrade() -> None:
    """Bring the tables from version 0006 to 0007; every event is read once."""
    run_script(revision)
