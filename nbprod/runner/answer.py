"""Answering without running: by a run that was for the same occasion, by one under way, or by an earlier one."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from nbprod.errors import NotFound
from nbprod.execution.cancel import CancelToken
from nbprod.ledger import RunQuery, RunRow
from nbprod.ledger.erasures import erasures
from nbprod.ledger.events import BytesErased, RunFinished
from nbprod.record.ids import RunId
from nbprod.record.parts import INPUT, parts_of
from nbprod.record.run_record import Kept, RunRecord
from nbprod.record.status import Status
from nbprod.record.tombstone import Tombstone
from nbprod.record.uses import uses_of
from nbprod.record.verdict import Verdict
from nbprod.runner.begin import begin
from nbprod.runner.output import leave_output
from nbprod.runner.ports import Ports
from nbprod.runner.prepare import Prepared
from nbprod.runner.reuse import candidates, contract_of
from nbprod.runner.signed import keep_signed, keep_signed_statement
from nbprod.runner.spooled import bytes_wait
from nbprod.runner.started import Started
from nbprod.runner.unchanged import changes_since, trace_of
from nbprod.step.reuse import ReuseMode
from nbprod.store import waiting

__all__ = ["Asked", "answer", "retried"]

_LOOK_EVERY = 0.2
_ASK_EVERY = 2.0
"""Seconds between two looks at a run that is waited for, and at whether its lease is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that is asked for, and may be answered for.

    Args:
        prepared: the run.
        started: what is known of it; its request above all.
        ports: the outside world.
        cancel: ends the waiting for others: the run is then to go on, and to be cancelled, by itself.
        begun: when the call began, by `ports.monotonic`.
        behind: a run that is known to be under way for the same; None for none.
        on_start: hears a cached run's id.
    """

    prepared: Prepared
    started: Started
    ports: Ports
    cancel: CancelToken
    begun: float
    behind: RunId | None = None
    on_start: Callable[[RunId], None] | None = None


def answer(asked: Asked) -> RunRecord | None:
    """Return the record that answers for a run, or None where it has to be run.

    1. A good run for the same occasion is the answer itself: this call repeats one whose end was not heard.
    2. One under way, for the same occasion or shared, is waited for. Its results are the answer to those who waited,
       unless what it read has changed by then; should it fail, so is that failure.
    3. An earlier good run, if nothing speaks against it, is answered with: by a run of status `cached`.
    """
    ports, reuse = asked.ports, asked.prepared.job.reuse
    waited: RunRow | None = None
    for run_id in _under_way(asked):
        waited = _wait(run_id, ports, asked.cancel)
    same = _of_occasion(asked)
    if same is not None or not reuse:
        return same
    if waited is not None and (record := _record(waited, ports)) is not None:
        if not record.verdict:
            return record
        met = all(line.met for line in contract_of(record, asked.started.request, ports.store))
        # It may have read something before this one asked that was changed by then.
        if met and (
            reuse.mode is ReuseMode.ALWAYS or not any(changes_since(trace_of(record, ports.store), ports.root))
        ):
            return _cached(asked, record, "which was under way for the same request")
    earlier = candidates(
        asked.started.request, reuse, store=ports.store, ledger=ports.ledger, root=ports.root, now=ports.now()
    )
    found = next((candidate.record for candidate in earlier if not candidate.hindrances), None)
    return None if found is None else _cached(asked, found, "the same request, and what that run read is unchanged")


def retried(prepared: Prepared, ports: Ports) -> RunId | None:
    """Return the last run for the same occasion if it was not good: this one tries it again.

    Its request may have been another: what it reads can have changed meanwhile.
    """
    occasion = prepared.job.occasion
    if occasion is None:
        return None
    row = next(ports.ledger.runs(RunQuery(occasion=occasion, limit=1)), None)
    return None if row is None or row.status is None or row.status.good else row.run_id


def _under_way(asked: Asked) -> list[RunId]:
    job, request = asked.prepared.job, asked.started.request.digest
    found: list[RunId] = [] if asked.behind is None else [asked.behind]
    if job.occasion is not None:
        same = RunQuery(occasion=job.occasion, request=request, running=True)
        found += [row.run_id for row in asked.ports.ledger.runs(same)]
    if job.reuse and not found:
        same = RunQuery(request=request, running=True)
        found += [row.run_id for row in asked.ports.ledger.runs(same) if row.shared]
    return found


def _wait(run_id: RunId, ports: Ports, cancel: CancelToken) -> RunRow | None:
    """Wait for a run's end; None where its runner is gone, or this one's caller has no time any more."""
    asked = 0.0
    while not cancel:
        row = ports.ledger.run(run_id)
        if row.status is not None:
            return row
        now = time.monotonic()
        if now - asked > _ASK_EVERY:
            asked = now
            if any(lapsed.run_id == run_id for lapsed in ports.ledger.lapsed()):
                return None
        time.sleep(_LOOK_EVERY)
    return None


def _of_occasion(asked: Asked) -> RunRecord | None:
    occasion = asked.prepared.job.occasion
    if occasion is None:
        return None
    good = tuple(status for status in Status if status.good)
    same = RunQuery(occasion=occasion, request=asked.started.request.digest, statuses=good, limit=1)
    row = next(asked.ports.ledger.runs(same), None)
    return None if row is None else _record(row, asked.ports)


def _record(row: RunRow, ports: Ports) -> RunRecord | None:
    """Return a run's record; None where bytes of it were erased: it never answers."""
    if erasures(ports.ledger, row.run_id):
        return None
    with contextlib.suppress(NotFound):
        return None if row.record is None else RunRecord.from_bytes(ports.store.get(row.record))
    return None


def _share_tombstones(record: RunRecord, of: RunRecord, ports: Ports) -> None:
    """Tell, before the verdict, of bytes of the answering run that were erased since it was looked at (law 3).

    Who erases looks for runs under way after the tombstones are written: it sees this run, or this run sees them.
    """
    own = {part.digest for part in parts_of(record)}  # and the inputs: it has the same trace
    for event in erasures(ports.ledger, of.run_id):
        objects = tuple(each for each in event.objects if each.digest in own or each.name.startswith(INPUT))
        if objects:
            stone = Tombstone(run_id=record.run_id, at=event.at, by=event.by, why=event.why, objects=objects)
            told = stone.to_bytes()
            attestation = keep_signed_statement(told, ports.store, None if ports.keys is None else str(ports.keys))
            ports.ledger.append(BytesErased.of(stone, ports.store.put(told), attestation))


def _cached(asked: Asked, of: RunRecord, why: str) -> RunRecord:
    """Keep a run of status `cached`: its own request and moment, the other's results."""
    prepared, started, ports = asked.prepared, asked.started, asked.ports
    started = begin(prepared, started, ports, retry_of=retried(prepared, ports))
    if asked.on_start is not None:
        asked.on_start(prepared.run_id)
    finished = ports.now()
    reason = f"answered by run {of.run_id} of {of.started:%Y-%m-%d %H:%M:%S} UTC: {why}"
    record = RunRecord(
        run_id=prepared.run_id,
        request=started.request,
        verdict=Verdict(status=Status.CACHED, reason=reason, contract=contract_of(of, started.request, ports.store)),
        notebook=of.notebook,
        source_file=started.source_file,
        journal=Kept(digest=ports.store.put(b""), size=0),
        scraps=of.scraps,
        artifacts=of.artifacts,
        environment_facts=started.environment_facts,
        git=started.git,
        locks=started.locks,
        container=started.container,
        user=started.user,
        host=started.host,
        started=started.at,
        finished=finished,
        seconds=round(ports.monotonic() - asked.begun, 6),  # as the record writes it: the event says the same
        timezone=started.zone,
        notes=started.notes,
        of=of.run_id,
        trace=of.trace,
        labels=started.labels,
        cwd=of.cwd,
    )
    data = record.to_bytes()
    digest = ports.store.put(data)
    attestation = keep_signed(record, data, digest, ports.store, started.keys)
    if spooled := waiting(ports.store, (digest, attestation, record.source_file.digest, started.request.environment)):
        ports.ledger.append(bytes_wait(finished, prepared.run_id, started.host, len(spooled)))
    _share_tombstones(record, of, ports)
    earlier = ports.ledger.run(of.run_id)
    ports.ledger.append(
        RunFinished(
            at=finished,
            run_id=prepared.run_id,
            status=Status.CACHED,
            reason=reason,
            seconds=record.seconds,
            record=digest,
            notebook=of.notebook.digest,
            scraps=earlier.scraps,
            of=of.run_id,
            attestation=attestation,
            uses=uses_of(record, None),
        )
    )
    shutil.rmtree(prepared.folder.path, ignore_errors=True)
    if prepared.job.output is not None:
        leave_output(prepared.job.output, ports.store.get(of.notebook.digest), prepared.run_id, ports.ledger)
    return RunRecord.from_bytes(data)  # what the caller holds is what was stored
