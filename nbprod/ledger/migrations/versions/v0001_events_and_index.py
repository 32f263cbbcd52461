"""Events, and the index of runs."""

from __future__ import annotations

from nbprod.ledger.migrations.script import run_script

revision = "0001"
down_revision = None

__all__ = ["down_revision", "revision", "upgrade"]


def upgrade() -> None:
    """Make the tables of version 0001."""
    run_script(revision)
