"""The events as leaves of a Merkle log, and what its owner signs of it."""

from __future__ import annotations

from nbprod.ledger.migrations.script import run_script

revision = "0004"
down_revision = "0003"

__all__ = ["down_revision", "revision", "upgrade"]


def upgrade() -> None:
    """Bring the tables from version 0003 to 0004; events get their places when they are first asked for."""
    run_script(revision)
