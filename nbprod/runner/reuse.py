"""Earlier runs that might answer for a new one, each with what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbprod.errors import IntegrityError, NotFound, ScrapError
from nbprod.ledger import Ledger, RunQuery
from nbprod.ledger.erasures import Erasure, erasures
from nbprod.record.request import RunRequest
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status
from nbprod.runner.unchanged import changes_since, trace_of
from nbprod.step.contract import Contract, Requirement
from nbprod.step.reuse import Reuse, ReuseMode
from nbprod.store import Store

__all__ = ["Candidate", "candidates", "contract_of"]

_LOOKED_AT = 10
"""Earlier runs of the same request that are looked at: should none of them answer, another hardly will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An earlier good run of the same request.

    Args:
        record: its record.
        hindrances: why it may not answer, each in words; none if it may.
    """

    record: RunRecord
    hindrances: tuple[str, ...]


def candidates(
    request: RunRequest, reuse: Reuse, *, store: Store, ledger: Ledger, root: Path, now: datetime
) -> Iterator[Candidate]:
    """Yield the earlier good runs of a request, the latest first.

    Args:
        request: what is asked for.
        reuse: how much has to be the same.
        store: holds their records.
        ledger: knows them.
        root: the project's root, from which relative paths start.
        now: aware.
    """
    query = RunQuery(request=request.digest, statuses=(Status.SUCCEEDED,), limit=_LOOKED_AT)
    for row in ledger.runs(query):
        if row.record is None:
            continue
        try:
            record = RunRecord.from_bytes(store.get(row.record))
        except (NotFound, IntegrityError):
            continue  # its bytes are gone or spoilt: it can say nothing
        gone = [str(Erasure(event, each)) for event in erasures(ledger, row.run_id) for each in event.objects]
        # With bytes gone, nothing else about it can be told, and need not be.
        told = gone or _hindrances(record, request, reuse, store=store, root=root, now=now)
        yield Candidate(record=record, hindrances=tuple(told))


def _hindrances(
    record: RunRecord, request: RunRequest, reuse: Reuse, *, store: Store, root: Path, now: datetime
) -> Iterator[str]:
    if reuse.longest is not None and now - record.started > reuse.longest:
        yield f"it is from {record.started:%Y-%m-%d %H:%M} UTC, and the step says: {reuse}"
    try:
        unmet = [line for line in contract_of(record, request, store) if not line.met]
    except (NotFound, IntegrityError, ScrapError) as error:
        yield f"its scraps cannot be read: {error.what}"
    else:
        yield from (f"it does not meet the contract: {line.text} — found: {line.found}" for line in unmet)
    kept = {"its executed notebook": record.notebook.digest}
    kept |= {f"its artifact {entry.name}": entry.digest for entry in record.artifacts}
    yield from (f"{what} is not in the store any more" for what, digest in kept.items() if not store.has(digest))
    if reuse.mode is not ReuseMode.ALWAYS:
        trace = trace_of(record, store)
        yield from trace.blockers()
        yield from changes_since(trace, root)


def contract_of(record: RunRecord, request: RunRequest, store: Store) -> tuple[Requirement, ...]:
    """Return how an earlier run meets the contract of a request (which is no part of the request's digest).

    Raises:
        NotFound, IntegrityError, ScrapError: a scrap's value cannot be had.
    """
    if request.contract == record.request.contract:
        return record.verdict.contract
    contract = Contract.parse(request.contract, "the contract")
    values = {}
    for entry in record.scraps:
        scrap = entry.scrap(store.get)
        values[entry.name] = scrap.data if scrap.encoder in ("pandas", "display") else scrap.value()
    return contract.check(values, [artifact.name for artifact in record.artifacts])
