"""Whether all that a run was seen to touch is still as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nbprod.digest import Digest
from nbprod.environment.inputs import pin_path
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Touched, Trace, path_from_text
from nbprod.runner.touched import digest_names
from nbprod.store import Store

__all__ = ["changes_since", "trace_of"]

_ASKED_FOR = {"parameter", "artifact", "root"}
"""Means by which what was read stands in the request as well, by its content."""


def trace_of(record: RunRecord, store: Store) -> Trace:
    """Return what a run touched; a record of before anybody looked says so.

    Raises:
        NotFound, IntegrityError: the trace is not in the store any more, or spoilt.
    """
    if record.trace is None:
        return Trace(on=False, why_off="its record holds no trace")
    return Trace.from_bytes(store.get(record.trace.digest))


def changes_since(trace: Trace, root: Path) -> Iterator[str]:
    """Yield, in words, what of it is not as the run had it, or left it.

    What has no digest is not compared: `Trace.blockers` names it.

    Args:
        trace: what the run touched.
        root: the project's root, from which relative paths start.
    """
    for entry in (*trace.reads, *trace.modules):
        if not _ASKED_FOR & {*entry.seen}:
            yield from _changed(entry, root, "it read")
    for entry in trace.written:
        yield from _changed(entry, root, "it left")
    for listing in trace.listings:
        if listing.digest is not None and _names(path_from_text(listing.path, root)) != listing.digest:
            yield f"it listed {listing.path}, where other names are now"
    for lookup in trace.missing:
        if _there(path_from_text(lookup.path, root)):
            yield f"it looked for {lookup.path}, which was not there then, and is now"


def _changed(entry: Touched, root: Path, did: str) -> Iterator[str]:
    path = path_from_text(entry.path, root)
    if entry.digest is not None:
        now = pin_path(path)
        if now.digest != entry.digest:
            yield f"{did} {entry.path}, which {'is gone' if now.kind == 'missing' else 'is not the same now'}"
    elif did == "it left" and not _there(path):
        yield f"{did} {entry.path}, which is gone"


def _names(folder: Path) -> Digest | None:
    try:
        return digest_names(folder)
    except (OSError, ValueError):
        return None


def _there(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True
