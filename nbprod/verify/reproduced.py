"""Whether what is told of a run's being executed again is what was stated and signed (step 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nbprod.attest.bundle import from_lines
from nbprod.attest.dsse import IN_TOTO
from nbprod.attest.keyfile import Role
from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound, SignatureInvalid, UnsupportedVersion
from nbprod.ledger.events import RunReproduced
from nbprod.ledger.ledger import StoredEvent
from nbprod.record.reproduced import Reproduced, level_text
from nbprod.store import Store
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.stored import lost
from nbprod.verify.trust import Trust

__all__ = ["check_reproductions"]

_STEP, _NAME = 3, "reproduced"


def check_reproductions(events: Sequence[StoredEvent], store: Store, trust: Trust) -> Iterator[Check]:
    """Compare what the ledger says of reproductions with their statements, and those with their signatures.

    Args:
        events: of a run, in order.
        store: has the statements.
        trust: whose signatures count.
    """
    for stored in events:
        if isinstance(event := stored.event, RunReproduced):
            yield _check(event, store, trust)


def _check(event: RunReproduced, store: Store, trust: Trust) -> Check:
    try:
        data = store.get(event.statement)
        stated = Reproduced.from_bytes(data)
    except NotFound:
        return lost(_STEP, _NAME, store, event.statement, "what is stated of a reproduction")
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
    return _signed(what, data, event.attestation, store, trust)


def _signed(what: str, data: bytes, attestation: Digest, store: Store, trust: Trust) -> Check:
    known = trust.holders(Role.RUNNER)
    try:
        envelope = from_lines(store.get(attestation))[0]
        if envelope.payload != data:
            return _altered("what is signed is not this statement of a reproduction")
        named = [each.key_id for each in envelope.signatures]
        if not any(name == "" or name in known for name in named):
            return Check.beside(_STEP, _NAME, f"{what}; signed by a key that is not known here")
        envelope.signers(known, IN_TOTO)
    except NotFound:
        return lost(_STEP, _NAME, store, attestation, "the signature of a reproduction")
    except (SignatureInvalid, IntegrityError) as error:
        return _altered(f"what is stated of a reproduction: {error}")
    return Check.passed(_STEP, _NAME, what)


def _altered(told: str) -> Check:
    return Check.failed(_STEP, _NAME, told, Conclusion.ALTERED)
