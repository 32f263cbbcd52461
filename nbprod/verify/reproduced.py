"""Whether what is told of a run's being executed again is what was stated and signed (step 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nbprod.attest.keyfile import Role
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound, UnsupportedVersion
from nbprod.ledger.events import RunReproduced
from nbprod.ledger.ledger import StoredEvent
from nbprod.record.reproduced import Reproduced, level_text
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.said import Court
from nbprod.verify.stored import lost

__all__ = ["check_reproductions"]

_STEP, _NAME = 3, "reproduced"


def check_reproductions(events: Sequence[StoredEvent], court: Court) -> Iterator[Check]:
    """Compare what the ledger says of reproductions with their statements, and those with their signatures.

    Args:
        events: of a run, in order.
        court: judges the signatures.
    """
    seen: set[Digest] = set()
    for stored in events:
        if isinstance(event := stored.event, RunReproduced):
            yield (
                _altered("a reproduction is told of twice") if event.statement in seen else _check(stored, event, court)
            )
            seen.add(event.statement)


def _check(stored: StoredEvent, event: RunReproduced, court: Court) -> Check:
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
        return _altered("a reproduction's statement says something else than the ledger")
    what = f"run {stated.second.short} has executed run {stated.first.short} again: {level_text(stated.level)}"
    if event.attestation is None:
        return Check.beside(_STEP, _NAME, f"{what}; this is not signed")
    return court.judge(
        _NAME, what, stored, attestation=event.attestation, statement=event.statement, roles=(Role.RUNNER,)
    ).check


def _altered(told: str) -> Check:
    return Check.failed(_STEP, _NAME, told, Conclusion.ALTERED)
