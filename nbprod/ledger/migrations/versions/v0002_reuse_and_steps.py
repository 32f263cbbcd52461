"""What a run was for and who answered it; published steps and their aliases."""

from __future__ import annotations

from nbprod.ledger.migrations.script import run_script

revision = "0002"
down_revision = "0001"

__all__ = ["down_revision", "revision", "upgrade"]


def upgrade() -> None:
    """Bring the tables from version 0001 to 0002."""
    run_script(revision)
