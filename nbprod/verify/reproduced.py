"""Whether what is told of a run's being executed again is what was stated and signed (step 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from nbprod.attest.keyfile import Role
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger.events import RunReproduced
from nbprod.ledger.ledger import StoredEvent
from nbprod.record.ids import RunId
from nbprod.record.reproduced import LEVEL_ABOUT, Reproduced
from nbprod.record.run_record import RunRecord
from nbprod.verify.outcome import Check, Conclusion, Outcome
from nbprod.verify.said import Court
from nbprod.verify.stored import lost

__all__ = ["check_reproductions"]

_STEP, _NAME = 3, "reproduced"
_EQUAL, _NORMALISED = "equal", "equal after normalising"
"""The words for artifacts with the same bytes, and for what named rules made equal (`nbprod.diff.Outcome`)."""


def check_reproductions(
    events: Sequence[StoredEvent], court: Court, record_of: Callable[[RunId], Digest | None]
) -> Iterator[Check]:
    """Compare what the ledger says of reproductions with their statements, and those with records and signatures.

    Args:
        events: of a run, in order.
        court: judges the signatures.
        record_of: returns the digest of a run's record, as its end names it; None for what is not in this ledger.
    """
    seen: set[Digest] = set()
    for stored in events:
        if isinstance(event := stored.event, RunReproduced):
            yield (
                _altered("a reproduction is told of twice")
                if event.statement in seen
                else _check(stored, event, court, record_of)
            )
            seen.add(event.statement)


def _check(
    stored: StoredEvent, event: RunReproduced, court: Court, record_of: Callable[[RunId], Digest | None]
) -> Check:
    try:
        stated = Reproduced.from_bytes(court.store.get(event.statement))
    except NotFound:
        return lost(_STEP, _NAME, court.store, event.statement, "what is stated of a reproduction")
    except UnsupportedVersion as error:
        return Check.open(_STEP, _NAME, str(error))
    except IntegrityError as error:
        return _altered(str(error))
    told = RunReproduced.of(stated, event.run_id, event.statement, event.attestation)
    if replace(told, unknown=event.unknown) != event or event.run_id not in (stated.first, stated.second):
        fault: str | None = "a reproduction's statement says something else than the ledger"
    else:
        fault = _beyond_itself(stated) or _unlike(stated, event.run_id, court, record_of)
    if fault is not None:
        return _altered(fault)
    what = f"run {stated.second.short} has executed run {stated.first.short} again: {stated.told}"
    what = "; ".join((what, *stated.caveats))
    if event.attestation is None:
        return Check.beside(_STEP, _NAME, f"{what}; this is not signed")
    found = court.judge(
        _NAME, what, stored, attestation=event.attestation, statement=event.statement, roles=(Role.RUNNER,)
    ).check
    doubted = found.outcome is Outcome.PASSED and stated.caveats  # what is signed says little for the first run
    return Check.beside(found.step, _NAME, found.told) if doubted else found


def _beyond_itself(stated: Reproduced) -> str | None:
    """Return what a statement lists as different although its level says that it is the same; None if nothing."""
    for what in () if stated.level is None else LEVEL_ABOUT[stated.level]:
        for each in _listed(stated, what) or ():
            if (outcome := each.get("outcome")) not in (_EQUAL, _NORMALISED):
                called = f"{what[:-1]} {each.get('cell' if what == 'cells' else 'name')}"
                return f"a reproduction is stated to be L{stated.level}, and its {called} to be: {outcome}"
    return None


def _listed(stated: Reproduced, what: str) -> list[dict[str, Any]] | None:
    """Return what a statement lists of how things compare; None if that is no list of them."""
    listed: Any = stated.comparison.get(what)
    return listed if isinstance(listed, list) and all(isinstance(each, dict) for each in listed) else None


def _unlike(stated: Reproduced, own: RunId, court: Court, record_of: Callable[[RunId], Digest | None]) -> str | None:
    """Return in what a statement is about other runs than the two whose ids it names; None if in nothing."""
    records: list[RunRecord] = []
    for which, run_id, digest in (
        ("first", stated.first, stated.first_record),
        ("second", stated.second, stated.second_record),
    ):
        # The second run is always of this ledger; the first may be a bundle's, whose ledger is another one.
        try:
            known = record_of(run_id)
            if known != digest and (known is not None or run_id == own):
                return f"a reproduction is stated of another record than the {which} run's: {digest.short}"
            records.append(RunRecord.from_bytes(court.store.get(digest)))
        except (NotFound, UnsupportedVersion):
            continue  # of the run itself that is told elsewhere; the other one's may be in another store
        except IntegrityError as error:
            return f"of a reproduction's {which} run: {error}"
        if records[-1].run_id != run_id:
            return f"a reproduction names a record of another run as the {which} run's: {records[-1].run_id.short}"
    if len(records) != 2:  # noqa: PLR2004 - the two runs
        return None
    return _of_others(stated, *records)


def _of_others(stated: Reproduced, first: RunRecord, second: RunRecord) -> str | None:
    if second.labels.reproduces != first.run_id:
        return (
            f"run {second.run_id.short} is stated to reproduce run {first.run_id.short}, and its record does not say so"
        )
    if first.request.source != second.request.source:
        return f"run {second.run_id.short} executed another notebook than run {first.run_id.short}"
    artifacts = [{each.name: each.digest for each in record.artifacts} for record in (first, second)]
    told: dict[str, str] = {}
    for what, names in (
        ("scraps", {each.name for record in (first, second) for each in record.scraps}),
        ("artifacts", artifacts[0].keys() | artifacts[1].keys()),
    ):
        if (listed := _listed(stated, what)) is None:
            return f"a reproduction's statement lists no {what}"
        told = {str(each.get("name")): str(each.get("outcome")) for each in listed}
        if told.keys() != names:
            return f"a reproduction is stated of other {what} than those of the two records"
    equal = [name for name, outcome in told.items() if outcome == _EQUAL]
    if unlike := next((name for name in equal if artifacts[0].get(name) != artifacts[1].get(name)), None):
        return f"artifact {unlike} is stated to be equal, and the two records name other bytes"
    return None


def _altered(told: str) -> Check:
    return Check.failed(_STEP, _NAME, told, Conclusion.ALTERED)
