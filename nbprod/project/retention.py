"""Retention: whose bytes are kept no longer, by the rules in the settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nbprod.digest import Digest, canonical
from nbprod.ledger import RunQuery
from nbprod.ledger.erasures import erasures
from nbprod.ledger.events import BytesErased, RunFinished, StepPublished, to_json
from nbprod.ledger.named import records_of
from nbprod.project.erase import ALL
from nbprod.project.erasure import Concerned
from nbprod.project.home import Home
from nbprod.project.kept import kept_of
from nbprod.project.reachable import Reached
from nbprod.project.settings import Settings
from nbprod.record.ids import RunId
from nbprod.record.parts import PartKind, parts_of
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status

__all__ = ["Rule", "due", "rule_of"]

RETIRED = ALL | {PartKind.INPUT}
"""What is kept no longer: copies of inputs as well, unless a run that is kept has the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """For how long the bytes of a step's runs are kept.

    Args:
        longest: since the end of the run.
        words: the rule, as it stands on tombstones.
    """

    longest: timedelta
    words: str


def rule_of(settings: Settings, step: str) -> Rule | None:
    """Return the rule for a step's runs; None where they are kept for ever."""
    own = settings.steps[step].keep if step in settings.steps else None
    keep = own or settings.keep
    if keep is None or keep.longest is None:
        return None
    return Rule(longest=keep.longest, words=f"kept {keep}, as {f'step {step}' if own else 'the project'} says")


@dataclass(slots=True)
class _Told:
    """What the events tell, once for all runs."""

    kept: Reached
    buried: set[RunId] = field(default_factory=set)
    """Runs with a tombstone."""
    seconds: dict[RunId, list[Digest]] = field(default_factory=dict)
    """The records of second endings."""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class _Old:
    """A run that is kept no longer: there may be a million."""

    run_id: RunId
    step: str
    record: Digest
    words: str


def due(home: Home, settings: Settings, *, now: datetime) -> tuple[list[Concerned], int]:
    """Return the runs whose bytes are kept no longer, with those bytes; and the last event that was read.

    Kept are the bytes of runs under way, of runs that are young enough, and of each step's newest run that succeeded
    and newest that was answered; all bytes that their records name, such as artifacts that were handed to them; and
    those of published steps.

    Args:
        home: whose ledger and store.
        settings: hold the rules.
        now: aware.

    Raises:
        IntegrityError: a record or manifest is missing or spoilt, so that it cannot be known what it needs.
        StoreUnavailable: the store cannot be read, or a record waits on another machine.
    """
    if all(step.keep is None for step in settings.steps.values()) and settings.keep is None:
        return [], 0
    told = _told(home)
    old: list[_Old] = []
    newest: set[tuple[str, Status]] = set()
    for row in home.ledger.runs(RunQuery()):
        if row.status is None or row.record is None or row.finished is None:
            told.kept.add_all(canonical(row.parameters))  # the artifacts that it was handed
            continue
        rule = rule_of(settings, row.step)
        first = row.status.good and (row.step, row.status) not in newest
        if first:
            newest.add((row.step, row.status))
        if first or rule is None or now - row.finished <= rule.longest:
            for digest in (row.record, *told.seconds.get(row.run_id, ())):
                told.kept.digests.add(bytes.fromhex(digest.hex))
                data = home.read(digest, row.run_id)
                told.kept.add_all(data)
                told.kept.add_kept(home, RunRecord.from_bytes(data))
        else:
            old.append(_Old(row.run_id, row.step, row.record, rule.words))
            _keep_the_rest(home, old[-1], told)
    return list(_concerned(home, old, told)), told.seq


def _keep_the_rest(home: Home, run: _Old, told: _Told) -> None:
    """Count as kept what stays of an old run: an artifact may be a copy of it, such as of the notebook itself."""
    for digest, record in _records(home, run, told):
        stays = [part.digest for part in parts_of(record) if part.kind not in RETIRED]
        stays += [digest, record.request.environment]
        stays += [] if record.environment_facts is None else [record.environment_facts]
        told.kept.digests.update(bytes.fromhex(each.hex) for each in stays)


def _records(home: Home, run: _Old, told: _Told) -> Iterator[tuple[Digest, RunRecord]]:
    for digest in (run.record, *told.seconds.get(run.run_id, ())):
        yield digest, RunRecord.from_bytes(home.read(digest, run.run_id))


def _told(home: Home) -> _Told:
    told = _Told(kept=Reached(set()))
    for stored in home.ledger.events():
        event, told.seq = stored.event, stored.seq
        if isinstance(event, BytesErased):
            told.buried.add(event.run_id)
            told.kept.digests.add(bytes.fromhex(event.statement.hex))
        elif isinstance(event, StepPublished):
            told.kept.add_all(canonical(to_json(event)))
            told.kept.add_all(home.read(event.manifest))
        elif isinstance(event, RunFinished):  # its record stands in the index
            if event.attestation is not None:
                told.kept.digests.add(bytes.fromhex(event.attestation.hex))
        else:
            for run_id, digest in records_of(event):
                told.seconds.setdefault(run_id, []).append(digest)
    return told


def _concerned(home: Home, old: list[_Old], told: _Told) -> Iterator[Concerned]:
    for run in old:
        stones = erasures(home.ledger, run.run_id) if run.run_id in told.buried else ()
        gone = {each.digest for stone in stones for each in stone.objects}
        parts = dict.fromkeys(
            part
            for _, record in _records(home, run, told)
            for part in parts_of(record, kept_of(home, record))
            if part.kind in RETIRED and part.digest not in gone and part.digest not in told.kept
        )
        there = tuple(part for part in parts if home.store.has(part.digest))  # what was lost is not erased
        if there:
            yield Concerned(run_id=run.run_id, step=run.step, parts=there, why=run.words)
