"""What bytes runs used and left, for lineage; the token that fences off a runner that was away."""

from __future__ import annotations

from nbprod.ledger.migrations.script import run_script

revision = "0006"
down_revision = "0005"

__all__ = ["down_revision", "revision", "upgrade"]


def upgrade() -> None:
    """Bring the tables from version 0005 to 0006; runs that ended before have no rows."""
    run_script(revision)
