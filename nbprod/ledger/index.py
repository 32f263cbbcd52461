"""The index is the sum of the events: one pure rule, whatever keeps it."""

from __future__ import annotations

from dataclasses import replace

from nbprod.errors import CallerError, NotFound
from nbprod.ledger.errors import AlreadyFinished, AlreadyStarted
from nbprod.ledger.events import RunEvent, RunFinished, RunNamed, RunNoted, RunStarted, RunTagged, RunUntagged
from nbprod.ledger.query import RunRow
from nbprod.record.ids import RunId

__all__ = ["fold", "no_such_run", "reason_search_text", "search_text", "sought_text"]


def fold(row: RunRow | None, event: RunEvent) -> RunRow:
    """Return a run's row after an event.

    The lease is not of the events: a started run's is None here, to be set by the ledger's own clock.

    Args:
        row: the row before; None for a run that the ledger doesn't know.
        event: what happened.

    Raises:
        AlreadyStarted: the run was started before.
        AlreadyFinished: the run has its verdict.
        NotFound: the run was never started.
    """
    if isinstance(event, RunStarted):
        if row is not None:
            raise AlreadyStarted(event.run_id)
        return _started(event)
    if row is None:
        raise no_such_run(event.run_id)
    match event:
        case RunFinished():
            if row.status is not None:
                raise AlreadyFinished(event.run_id, row.status)
            return _finished(row, event)
        case RunNamed(name=name):
            row = replace(row, name=name or None)
        case RunNoted(note=note):
            row = replace(row, note=note or None)
        case RunTagged(tag=tag):
            row = replace(row, tags=_tags((*row.tags, tag)))
        case RunUntagged(tag=tag):
            row = replace(row, tags=tuple(each for each in row.tags if each != tag))
    return row


def no_such_run(run_id: RunId) -> NotFound:
    """Make the error for a run that was never started."""
    return NotFound(
        f"run {run_id} is not in this ledger",
        expected="a run that was started",
        hint="`nbprod runs` lists the runs of this project",
    )


def search_text(row: RunRow) -> str:
    """Return what `RunQuery.text` is looked for in."""
    parts = (row.step, row.notebook, row.name, row.note, *row.tags)
    return sought_text("\n".join(part for part in parts if part)) + reason_search_text(row.reason or "")


def reason_search_text(reason: str) -> str:
    """Return what a verdict's reason adds to the end of `search_text`."""
    return sought_text(f"\n{reason}") if reason else ""


def sought_text(text: str) -> str:
    """Return the form in which texts are searched, and looked for: case-folded (Unicode 3.13), without NUL."""
    return text.casefold().replace("\0", "\ufffd")  # SQLite's functions stop at a NUL, and PostgreSQL takes none


def _started(event: RunStarted) -> RunRow:
    return RunRow(
        run_id=event.run_id,
        step=event.step,
        notebook=event.notebook,
        status=None,
        reason=None,
        started=event.at,
        finished=None,
        seconds=None,
        name=event.name or None,
        tags=_tags(event.tags),
        note=event.note or None,
        parameters=event.parameters,
        scraps={},
        request_digest=event.request_digest,
        record=None,
        notebook_digest=None,
        user=event.user,
        host=event.host,
        runner_pid=event.runner_pid,
        lease_until=None,
        folder=event.folder,
        occasion=event.occasion or None,
        retry_of=event.retry_of,
        flow_run=event.flow_run or None,
        shared=event.shared,
        of=None,
    )


def _finished(row: RunRow, event: RunFinished) -> RunRow:
    return replace(
        row,
        status=event.status,
        reason=event.reason,
        finished=event.at,
        seconds=event.seconds,
        record=event.record,
        notebook_digest=event.notebook,
        scraps=event.scraps,
        of=event.of,
        lease_until=None,
    )


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    if "" in tags:
        raise CallerError("an empty tag", expected="a word")
    return tuple(sorted(set(tags)))
