"""A `RunRow` as columns, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbprod.digest import Digest, Json, canonical
from nbprod.errors import CallerError
from nbprod.ledger.errors import damaged
from nbprod.ledger.index import search_text
from nbprod.ledger.moment import moment_text, parse_moment
from nbprod.ledger.query import RunRow
from nbprod.ledger.values import index_value, read_json
from nbprod.record.ids import RunId
from nbprod.record.status import Status

__all__ = ["from_columns", "to_columns", "value_columns"]


def to_columns(row: RunRow) -> dict[str, Any]:
    """Return the columns of the table `runs` that follow from events: all but the lease and the cancel request."""
    return {
        "run_id": row.run_id.text,
        "reversed_id": row.run_id.text[::-1],
        "step": row.step,
        "notebook": row.notebook,
        "status": None if row.status is None else str(row.status),
        "reason": row.reason,
        "started": moment_text(row.started),
        "finished": None if row.finished is None else moment_text(row.finished),
        "seconds": row.seconds,
        "name": row.name,
        "note": row.note,
        "parameters": canonical(row.parameters).decode(),
        "scraps": canonical(row.scraps).decode(),
        "request_digest": str(row.request_digest),
        "record": None if row.record is None else str(row.record),
        "notebook_digest": None if row.notebook_digest is None else str(row.notebook_digest),
        "user_name": row.user,
        "host": row.host,
        "runner_pid": row.runner_pid,
        "folder": row.folder,
        "occasion": row.occasion,
        "retry_of": None if row.retry_of is None else row.retry_of.text,
        "flow_run": row.flow_run,
        "shared": int(row.shared),
        "of_run": None if row.of is None else row.of.text,
        "search": search_text(row),
    }


def from_columns(columns: Mapping[Any, Any], tags: Iterable[str]) -> RunRow:
    """Return the row that the columns hold.

    Raises:
        IntegrityError: they hold what no run has.
    """
    try:
        return _row(columns, tags)
    except (CallerError, ValueError, TypeError, AttributeError) as error:
        raise damaged(f"what the ledger's index says of the run {columns['run_id']}", error) from error


def _row(columns: Mapping[Any, Any], tags: Iterable[str]) -> RunRow:
    return RunRow(
        run_id=RunId(columns["run_id"]),
        step=columns["step"],
        notebook=columns["notebook"],
        status=None if columns["status"] is None else Status(columns["status"]),
        reason=columns["reason"],
        started=parse_moment(columns["started"]),
        finished=None if columns["finished"] is None else parse_moment(columns["finished"]),
        seconds=columns["seconds"],
        name=columns["name"],
        tags=tuple(sorted(tags)),
        note=columns["note"],
        parameters=read_json(columns["parameters"]),
        scraps=read_json(columns["scraps"]),
        request_digest=Digest.parse(columns["request_digest"]),
        record=None if columns["record"] is None else Digest.parse(columns["record"]),
        notebook_digest=None if columns["notebook_digest"] is None else Digest.parse(columns["notebook_digest"]),
        user=columns["user_name"],
        host=columns["host"],
        runner_pid=columns["runner_pid"],
        lease_until=None if columns["lease_until"] is None else parse_moment(columns["lease_until"]),
        folder=columns["folder"],
        occasion=columns["occasion"],
        retry_of=None if columns["retry_of"] is None else RunId(columns["retry_of"]),
        flow_run=columns["flow_run"],
        shared=bool(columns["shared"]),
        of=None if columns["of_run"] is None else RunId(columns["of_run"]),
    )


def value_columns(run_id: RunId, kind: str, name: str, value: Json) -> dict[str, Any]:
    """Return a row of the table `run_values`."""
    indexed = index_value(value)
    return {"run_id": run_id.text, "kind": kind, "name": name, "num": indexed.number, "text": indexed.text}
