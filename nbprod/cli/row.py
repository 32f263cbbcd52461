"""A row of the ledger's index as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbprod.cli.values import plain_json

if TYPE_CHECKING:
    from nbprod.ledger import RunRow

__all__ = ["row_json"]


def row_json(row: RunRow) -> dict[str, Any]:
    """Return a row as JSON; values as plain JSON, moments in ISO 8601."""
    return {
        "run": str(row.run_id),
        "step": row.step,
        "notebook": row.notebook,
        "status": "running" if row.status is None else str(row.status),
        "reason": row.reason,
        "started": row.started.isoformat(),
        "finished": None if row.finished is None else row.finished.isoformat(),
        "seconds": row.seconds,
        "name": row.name,
        "tags": list(row.tags),
        "note": row.note,
        "parameters": plain_json(row.parameters),
        "scraps": plain_json(row.scraps),
        "record": None if row.record is None else str(row.record),
        "user": row.user,
        "host": row.host,
    }
