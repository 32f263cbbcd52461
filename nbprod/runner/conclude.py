"""The end of a run, whoever closes it: scraps, artifacts, verdict, executed notebook, record — then the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nbprod.digest import Digest, Json
from nbprod.errors import ScrapError
from nbprod.execution.assemble import Heading, assemble
from nbprod.execution.driven import Stop
from nbprod.execution.outputs import Collector
from nbprod.execution.plan import Plan
from nbprod.ledger import Ledger
from nbprod.ledger.errors import AlreadyFinished, Fenced
from nbprod.ledger.events import SECOND_ENDING, RunFinished, RunHeard, RunTagged
from nbprod.ledger.flags import MASKED
from nbprod.masking import Masker
from nbprod.notebook.layout import file_bytes
from nbprod.record.launch import Launch
from nbprod.record.run_record import Artifact, Kept, RunRecord
from nbprod.record.status import CellStatus, Status
from nbprod.record.trace import Trace, path_text
from nbprod.record.uses import Use, uses_of
from nbprod.record.verdict import CellOutcome, Verdict
from nbprod.runner.artifacts import keep_artifacts
from nbprod.runner.copies import LARGE, Aside
from nbprod.runner.flagged import masked_in
from nbprod.runner.kept import InputKeeper
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
        masker: knows the run's secrets; None where their values are not known, as in recovery.
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
    masker: Masker | None = None
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
    fence: int = 0,
) -> Conclusion:
    """Close a run: bytes first, ledger last (law 3).

    Args:
        started: what is known since the start.
        ended: what is known when the cells are done with.
        folder: the run's.
        store: takes the bytes.
        ledger: takes the verdict.
        executed: is told the executed notebook's bytes before the run is closed.
        fence: the token of whoever closes it (see `Ledger.take_over`); 0: its own runner.

    Raises:
        Fenced: somebody else has taken it over, to close it, and may have done so.
        StoreUnavailable, LedgerUnavailable: it could not be closed; it stays open for `nbprod recover`.
    """
    scraps, scrap_fault = _read_scraps(ended)
    masker = ended.masker if started.request.secrets else Masker({})
    artifacts, artifact_faults = keep_artifacts(folder.output, store, masker) if ended.collects else ((), ())
    verdict = _judge(started, ended, scraps, artifacts, scrap_fault)
    notes = (*started.notes, *ended.notes, *artifact_faults)
    told = [verdict.reason, *notes, *(each.name for each in artifacts)]
    masked = masked_in(started.request.secrets, ended.plan, ended.collector, told)
    started = replace(started, notes=(*notes, *map(str, masked)))
    trace, inputs = _trace(started, ended, folder, store)
    traced = trace.to_bytes()
    keeping = _keeping_journal(folder.journal, store)
    notebook = _executed(started, ended, verdict, scraps, artifacts, trace=trace)
    executed(notebook)
    kept, journal = Kept(digest=store.put(notebook), size=len(notebook)), keeping()
    looked = Kept(digest=store.put(traced), size=len(traced))
    entries = tuple(_entry(scrap, store) for scrap in scraps)
    left = (*(each.digest for each in artifacts), *(entry.ref for entry in entries), looked.digest)
    known = (started.source_file.digest, started.environment_facts, started.request.environment)
    spooled = waiting(store, (kept.digest, journal.digest, *inputs, *left, *known))
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
        locks=started.locks,
        container=started.container,
        user=started.user,
        host=started.host,
        started=started.at,
        finished=ended.at,
        seconds=ended.seconds,
        timezone=started.zone,
        notes=(*started.notes, *_told_of(spooled, store, started.host)),
        trace=looked,
        labels=started.labels,
        cwd=_cwd(started, ended),
        launch=ended.launch,
        masked=masked,
    )
    stored = _commit(
        record, store, ledger, uses=uses_of(record, trace), keys=started.keys, spooled=spooled, fence=fence
    )
    return Conclusion(stored, notebook)


def _commit(
    record: RunRecord,
    store: Store,
    ledger: Ledger,
    *,
    uses: tuple[Use, ...],
    keys: str | None,
    spooled: Sequence[Digest],
    fence: int,
) -> RunRecord:
    """Keep the record, signed, and tell the ledger; return it as it was stored: that is what the caller shall hold.

    Args:
        record: the run's.
        store: takes the bytes.
        ledger: takes the verdict.
        uses: what bytes the run used and left.
        keys: the folder of the keys; None: it is not signed.
        spooled: what waits for the store so far.
        fence: the token of whoever closes the run.
    """
    data = record.to_bytes()
    digest = store.put(data)
    attestation = keep_signed(record, data, digest, store, keys)
    if spooled := (*spooled, *waiting(store, [digest, attestation])):
        # Before the verdict: no row may point at bytes that are not there without saying where they are (law 3).
        ledger.append(bytes_wait(record.finished, record.run_id, record.host, len(spooled)))
    if record.masked:  # before the verdict: whoever finds the run finds that
        ledger.append(RunTagged(at=record.finished, run_id=record.run_id, tag=MASKED))
    end = RunFinished(
        at=record.finished,
        run_id=record.run_id,
        status=record.verdict.status,
        reason=record.verdict.reason,
        seconds=round(record.seconds, 6),  # as the record writes it
        record=digest,
        notebook=record.notebook.digest,
        scraps=indexed(record.scraps),
        attestation=attestation,
        uses=uses,
        fence=fence,
    )
    _append_end(ledger, end)
    return RunRecord.from_bytes(data)


def _append_end(ledger: Ledger, end: RunFinished) -> None:
    """Append a run's end; where it has one, what we know stands beside it, as an event (law 2)."""
    try:
        ledger.append(end)
    except (AlreadyFinished, Fenced) as error:
        late = {"status": str(end.status), "reason": end.reason, "record": str(end.record)}
        late |= {} if end.attestation is None else {"attestation": str(end.attestation)}
        ledger.append(RunHeard(at=end.at, run_id=end.run_id, what=SECOND_ENDING, data=late))
        raise Fenced(end.run_id) from error  # whoever has closed it had taken it over


def _trace(started: Started, ended: Ended, folder: RunFolder, store: Store) -> tuple[Trace, tuple[Digest, ...]]:
    """Return what the run touched, and the digests of what is kept of it."""
    scope = started.scope
    if scope is None:
        return Trace(on=False, why_off="the run began under an nbprod that did not look"), ()
    masker = ended.masker if started.request.secrets else Masker({})
    found = touched(folder.trace, scope, started.request.inputs, None if masker is None else masker.mask_text)
    if masker is None or not scope.keep_inputs:
        return found, ()
    keeper = InputKeeper(scope, folder, store, masker)
    return keeper.keep(found), tuple(keeper.kept)


def _cwd(started: Started, ended: Ended) -> str | None:
    """Return where the kernel ran, unless a secret is in the name, or may be (law 7)."""
    if started.scope is None or (ended.masker is None and started.request.secrets):
        return None
    plain = path_text(started.scope.cwd, started.scope.root)
    return plain if ended.masker is None or ended.masker.mask_text(plain) == plain else None


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
