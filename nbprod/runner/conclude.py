"""The end of a run, whoever closes it: scraps, artifacts, verdict, executed notebook, record — then the ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from os.path import isfile, islink
from pathlib import Path
from typing import Any

from nbprod.digest import Digest, Json
from nbprod.errors import CallerError, ScrapError
from nbprod.execution.assemble import Heading, assemble
from nbprod.execution.driven import Stop
from nbprod.execution.outputs import Collector
from nbprod.execution.plan import Plan
from nbprod.ledger import Ledger
from nbprod.ledger.errors import AlreadyFinished
from nbprod.ledger.events import SECOND_ENDING, RunFinished, RunHeard
from nbprod.notebook.layout import file_bytes
from nbprod.record.launch import Launch
from nbprod.record.run_record import Artifact, Kept, RunRecord
from nbprod.record.status import CellStatus, Status
from nbprod.record.trace import Trace
from nbprod.record.verdict import CellOutcome, Verdict
from nbprod.runner.copies import LARGE, Aside
from nbprod.runner.record_cell import record_cell
from nbprod.runner.signed import keep_signed
from nbprod.runner.spooled import bytes_wait
from nbprod.runner.started import RunFolder, Started
from nbprod.runner.touched import touched
from nbprod.scraps import INLINE_LIMIT, Scrap, ScrapEntry, read_scraps
from nbprod.step.contract import Contract
from nbprod.store import Store, waiting

__all__ = ["Conclusion", "Ended", "conclude", "indexed"]

_INDEXED = 4096
"""Bytes up to which a scrap's value goes into the ledger's index as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is known when the cells are done with.

    Args:
        plan: the prepared notebook.
        outcomes: one per code cell of the plan.
        collector: what the cells put out.
        stop: why it stopped before the end; None if it did not.
        language_info: the kernel's word on its language.
        at: aware, UTC.
        seconds: since the start, monotonic.
        collects: whether files in the output folder are artifacts.
        notes: what a reader should know, beside what was known at the start.
        mask: replaces secrets in a text; None where their values are not known, as in recovery.
        launch: how the kernel came into being; None where none did.
    """

    plan: Plan
    outcomes: tuple[CellOutcome, ...]
    collector: Collector
    stop: Stop | None
    language_info: Mapping[str, Any] | None
    at: datetime
    seconds: float
    collects: bool = True
    notes: tuple[str, ...] = ()
    mask: Callable[[str], str] | None = None
    launch: Launch | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A closed run: its record, and the executed notebook's bytes."""

    record: RunRecord
    notebook: bytes


def conclude(
    started: Started,
    ended: Ended,
    folder: RunFolder,
    store: Store,
    ledger: Ledger,
    *,
    executed: Callable[[bytes], None] = lambda _: None,
) -> Conclusion:
    """Close a run: bytes first, ledger last (law 3).

    Args:
        started: what is known since the start.
        ended: what is known when the cells are done with.
        folder: the run's.
        store: takes the bytes.
        ledger: takes the verdict.
        executed: is told the executed notebook's bytes before the run is closed.

    Raises:
        AlreadyFinished: somebody else has closed it.
        StoreUnavailable, LedgerUnavailable: it could not be closed; it stays open for `nbprod recover`.
    """
    scraps, scrap_fault = _read_scraps(ended)
    told = _telling(started, ended)
    artifacts, artifact_faults = _keep_artifacts(folder.output, store, told) if ended.collects else ((), ())
    verdict = _judge(started, ended, scraps, artifacts, scrap_fault)
    started = replace(started, notes=(*started.notes, *ended.notes, *artifact_faults))
    trace = _trace(started, ended, folder)
    traced = trace.to_bytes()
    keeping = _keeping_journal(folder.journal, store)
    notebook = _executed(started, ended, verdict, scraps, artifacts, trace=trace)
    executed(notebook)
    kept, journal = Kept(digest=store.put(notebook), size=len(notebook)), keeping()
    looked = Kept(digest=store.put(traced), size=len(traced))
    entries = tuple(_entry(scrap, store) for scrap in scraps)
    parts = [kept.digest, journal.digest, *(each.digest for each in artifacts), *(entry.ref for entry in entries)]
    known = [looked.digest, started.source_file.digest, started.environment_facts, started.request.environment]
    spooled = waiting(store, (*parts, *known))
    record = RunRecord(
        run_id=started.run_id,
        request=started.request,
        verdict=verdict,
        notebook=kept,
        source_file=started.source_file,
        journal=journal,
        scraps=entries,
        artifacts=artifacts,
        environment_facts=started.environment_facts,
        git=started.git,
        user=started.user,
        host=started.host,
        started=started.at,
        finished=ended.at,
        seconds=ended.seconds,
        timezone=started.zone,
        notes=(*started.notes, *_told_of(spooled, store, started.host)),
        trace=looked,
        labels=started.labels,
        launch=ended.launch,
    )
    data = record.to_bytes()
    digest = store.put(data)
    attestation = keep_signed(record, data, digest, store, started.keys)
    if spooled := (*spooled, *waiting(store, [digest, attestation])):
        # Before the verdict: no row may point at bytes that are not there without saying where they are (law 3).
        ledger.append(bytes_wait(ended.at, started.run_id, started.host, len(spooled)))
    finished = RunFinished(
        at=ended.at,
        run_id=started.run_id,
        status=verdict.status,
        reason=verdict.reason,
        seconds=round(ended.seconds, 6),  # as the record writes it
        record=digest,
        notebook=record.notebook.digest,
        scraps=indexed(entries),
        attestation=attestation,
    )
    try:
        ledger.append(finished)
    except AlreadyFinished:
        # One verdict per run, for ever: what we know stands beside it, as an event (law 2).
        late = {"status": str(verdict.status), "reason": verdict.reason, "record": str(digest)}
        late |= {} if attestation is None else {"attestation": str(attestation)}
        ledger.append(RunHeard(at=ended.at, run_id=started.run_id, what=SECOND_ENDING, data=late))
        raise
    return Conclusion(RunRecord.from_bytes(data), notebook)  # what the caller holds is what was stored


def _trace(started: Started, ended: Ended, folder: RunFolder) -> Trace:
    if started.scope is None:
        return Trace(on=False, why_off="the run began under an nbprod that did not look")
    mask = ended.mask if started.request.secrets else str
    return touched(folder.trace, started.scope, started.request.inputs, mask)


def _told_of(spooled: Sequence[Digest], store: Store, host: str) -> tuple[str, ...]:
    if not spooled:
        return ()
    count = "1 object of this run waits" if len(spooled) == 1 else f"{len(spooled)} objects of this run wait"
    return (
        f"the store {store.url} could not be reached: {count} in the spool of {host}; `nbprod recover` there delivers",
    )


def _read_scraps(ended: Ended) -> tuple[tuple[Scrap, ...], str | None]:
    cells = [
        (-1 if cell.cell is None else cell.cell, ended.collector.outputs(cell.position)) for cell in ended.plan.cells
    ]
    try:
        return read_scraps(cells), None
    except ScrapError as error:
        return (), str(error)


def _telling(started: Started, ended: Ended) -> Callable[[str], str]:
    """Return how a file's name may stand in the record (law 7).

    Where secrets' values are not known, any name may hold one. Of such a name no more is told than what the contract
    says of it already: the pattern that it matches, which meets the contract as the name did.
    """
    if ended.mask is not None:
        return ended.mask
    if not started.request.secrets:
        return str
    patterns = Contract.parse(started.request.contract, "the contract").artifacts
    return lambda name: next((pattern for pattern in patterns if fnmatchcase(name, pattern)), "(name withheld)")


def _keep_artifacts(
    output: Path, store: Store, told: Callable[[str], str]
) -> tuple[tuple[Artifact, ...], tuple[str, ...]]:
    """Put every regular file below the output folder into the store; links and other things are named in notes."""
    kept: list[Artifact] = []
    notes: list[str] = []
    for folder, folders, files in os.walk(output, onerror=lambda error: notes.append(_unread(error, output, told))):
        folders.sort()
        # Unlike Path's methods, islink and isfile bear a path that is too long for the system.
        links = [name for name in folders if islink(f"{folder}/{name}")]  # noqa: PTH114
        for name in sorted([*files, *links]):
            path = Path(folder, name)
            plain = _shown(path, output)
            shown = told(plain)
            if islink(path) or not isfile(path):  # noqa: PTH113, PTH114
                notes.append(f"{shown} in the output folder is not a regular file and was not kept")
                continue
            try:
                digest, size = store.put_file(path)
            except CallerError as error:  # unreadable, or somebody outside the run still writes it
                notes.append(f"{shown} in the output folder was not kept: {told(str(error))}")
                continue
            if shown != plain:
                alike = sum(entry.name == shown or entry.name.startswith(f"{shown} (") for entry in kept)
                shown = f"{shown} ({alike + 1})" if alike else shown
                notes.append(f"artifact {shown} had another name, which held a secret or may have held one")
            kept.append(Artifact(name=shown, digest=digest, size=size))
    return tuple(kept), tuple(notes)


def _shown(path: Path, output: Path) -> str:
    # Names are bytes on Linux; what is no UTF-8 in them has no form in the record but an escape.
    return os.fsencode(path.relative_to(output).as_posix()).decode("utf-8", "backslashreplace")


def _unread(error: OSError, output: Path, told: Callable[[str], str]) -> str:
    what = "the output folder" if error.filename == str(output) else f"{told(_shown(Path(error.filename), output))}/"
    return f"{what} could not be read, so that nothing in it was kept: {error.strerror}"


def _keeping_journal(path: Path, store: Store) -> Callable[[], Kept]:
    """Keep the journal, a large one beside other work; return what waits until it is kept."""
    if not path.exists():
        return lambda: Kept(digest=store.put(b""), size=0)

    def keep() -> Kept:
        digest, size = store.put_file(path)
        return Kept(digest=digest, size=size)

    return Aside(keep).result if path.stat().st_size >= LARGE else keep


def _judge(
    started: Started,
    ended: Ended,
    scraps: Sequence[Scrap],
    artifacts: Sequence[Artifact],
    scrap_fault: str | None,
) -> Verdict:
    """Conclude: `succeeded` takes an ok from every code cell that should have run, and the contract (law 1)."""
    limits = started.request.limits
    contract = Contract.parse(started.request.contract, "the contract")
    values = {scrap.name: _value(scrap) for scrap in scraps}
    lines = contract.check(values, [entry.name for entry in artifacts])
    status, reason = Status.SUCCEEDED, "every code cell ran and ended well"
    stop = ended.stop
    if stop is not None and stop.status is Status.EXITED_EARLY and limits.get("exit_ok"):
        reason, stop = f"{stop.reason}, which this step declares as fine", None
    unmet = [line for line in lines if not line.met]
    if stop is not None:
        status, reason = stop.status, stop.reason
    elif scrap_fault is not None:
        status, reason = Status.FAILED, scrap_fault
    elif unmet:
        told = "; ".join(f"{line.text} — found: {line.found}" for line in unmet)
        status, reason = Status.FAILED, f"the contract is not met: {told}"
    elif lines:
        reason += ", and the contract is met"
    return Verdict(status=status, reason=reason, cells=ended.outcomes, contract=lines)


def _value(scrap: Scrap) -> Any:
    return scrap.data if scrap.encoder in ("pandas", "display") else scrap.value()


def _executed(
    started: Started,
    ended: Ended,
    verdict: Verdict,
    scraps: Sequence[Scrap],
    artifacts: Sequence[Artifact],
    *,
    trace: Trace,
) -> bytes:
    failed = next((c.cell for c in verdict.cells if c.status in (CellStatus.FAILED, CellStatus.INTERRUPTED)), None)
    about = {
        "run": str(started.run_id),
        "step": started.request.step,
        "status": str(verdict.status),
        "reason": verdict.reason,
        "cell": failed,
        "request": str(started.request.digest),
        "parameters": dict(started.request.parameters),
        "started": started.at.isoformat(),
        "finished": ended.at.isoformat(),
        "seconds": round(ended.seconds, 6),
    }
    heading = Heading(
        record=record_cell(started, verdict, scraps, artifacts, ended.seconds, trace=trace),
        banner=None if verdict else f"{verdict.status}: {verdict.reason}",
        started=started.at,
        finished=ended.at,
        parameters=started.given,
        defaults=started.defaults,
        paths=started.paths,
        nbprod=about,
    )
    return file_bytes(assemble(ended.plan, ended.outcomes, ended.collector, heading, ended.language_info))


def _entry(scrap: Scrap, store: Store) -> ScrapEntry:
    payload = scrap.payload_bytes()
    return scrap.entry(store.put(payload) if len(payload) > INLINE_LIMIT else None)


def indexed(entries: Sequence[ScrapEntry]) -> dict[str, Json]:
    """Return the scraps that go into the ledger's index, by name: small values that are no table and no display."""
    return {
        entry.name: entry.payload["data"]
        for entry in entries
        if entry.encoder in ("json", "text") and entry.size <= _INDEXED and entry.payload is not None
    }
