"""Whether a run's record is signed, and by a key that may sign it there (steps 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbprod.attest.bundle import from_lines
from nbprod.attest.dsse import IN_TOTO, Envelope
from nbprod.attest.keyfile import Role
from nbprod.attest.provenance import PROVENANCE_TYPE
from nbprod.attest.strict import read_object
from nbprod.digest import Digest, digest_bytes
from nbprod.errors import IntegrityError, NotFound, SignatureInvalid
from nbprod.record.run_record import STATEMENT_TYPE, RunRecord
from nbprod.record.status import Status
from nbprod.store import Store
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.stored import lost
from nbprod.verify.trust import Trust

__all__ = ["SignedBy", "check_key", "check_signature"]

_SIGNATURE, _KEY = 1, 2


@dataclass(frozen=True, slots=True)
class SignedBy:
    """What came of step 1.

    Args:
        checks: the checks.
        key_id: the key that has signed; None: no known one.
    """

    checks: tuple[Check, ...]
    key_id: str | None = None


def check_signature(attestation: Digest | None, data: bytes, record: RunRecord, store: Store, trust: Trust) -> SignedBy:
    """Check the signatures over a record's raw bytes, and over the run's provenance.

    Args:
        attestation: what the run's event names; None: nothing.
        data: the record's bytes.
        record: what they say.
        store: has the envelopes.
        trust: whose signatures count.
    """
    name = "signature"
    if attestation is None:
        told = "the record is not signed"
        return SignedBy((Check.failed(_SIGNATURE, name, told, Conclusion.UNSIGNED),))
    try:
        envelopes = from_lines(store.get(attestation))
        signed = _of(data, envelopes[0])
        key_id, *_ = signed.signers(trust.holders(Role.RUNNER), IN_TOTO)
    except NotFound:
        return SignedBy((lost(_SIGNATURE, name, store, attestation, "the signature"),))
    except SignatureInvalid as error:
        return SignedBy((_unknown(signed, trust) or _altered(name, str(error)),))
    except IntegrityError as error:
        return SignedBy((_altered(name, str(error)),))
    checks = [Check.passed(_SIGNATURE, name, f"the key {_called(trust, key_id)} has signed the record's own bytes")]
    if (fault := _provenance_fault(envelopes[1:], data, record, trust, key_id)) is not None:
        checks.append(_altered("provenance", fault))
    elif len(envelopes) > 1:
        checks.append(Check.passed(_SIGNATURE, "provenance", "the same key has signed the run's SLSA provenance"))
    return SignedBy(tuple(checks), key_id)


def check_key(signed: SignedBy, trust: Trust, position: int | None, size: int) -> Check:
    """Check that the key could sign records at the run's place in the log.

    Args:
        signed: what came of step 1.
        trust: says which key may sign where.
        position: the place of the run's end; None: it has none yet, and will get one behind all others.
        size: how many places were given.
    """
    name, key_id = "key", signed.key_id
    if key_id is None:
        return Check.beside(_KEY, name, "no known key has signed")
    if trust.current is None:
        return Check.beside(_KEY, name, "this log has no list of keys; the key is one of your own folder")
    if trust.unvouched:
        told = (
            f"whether {_called(trust, key_id)} may sign runs is said by a list that the root key you named did not sign"
        )
        return Check.open(_KEY, name, told)
    place = size if position is None else position
    if trust.current.covers(Role.RUNNER, key_id, place):
        told = f"list number {trust.current.number} lets {_called(trust, key_id)} sign runs at place {place}"
        return Check.passed(_KEY, name, told)
    told = (
        f"the list of keys does not let {_called(trust, key_id)} sign runs at place {place}: it was revoked or replaced"
    )
    return Check.failed(_KEY, name, told, Conclusion.CANNOT_TELL)


def _of(data: bytes, signed: Envelope) -> Envelope:
    if signed.payload != data:
        raise IntegrityError("what is signed is not this record")
    return signed


def _called(trust: Trust, key_id: str) -> str:
    return f"{key_id[:8]} ({trust.label(key_id)})"


def _unknown(signed: Envelope, trust: Trust) -> Check | None:
    """Return that nobody can tell, where the signature names no key that may sign runs."""
    known = trust.holders(Role.RUNNER)
    named = [each.key_id for each in signed.signatures]
    if any(name == "" or name in known for name in named) or signed.payload_type != IN_TOTO:
        return None
    keys = ", ".join(name[:8] for name in named)
    where = "your own folder of keys" if trust.current is None else "the list of keys"
    return Check.open(_SIGNATURE, "signature", f"it names the key {keys}, which {where} does not know for runs")


def _provenance_fault(
    envelopes: tuple[Envelope, ...], data: bytes, record: RunRecord, trust: Trust, key_id: str
) -> str | None:
    wanted = 1 if record.verdict.status is Status.SUCCEEDED else 0
    if len(envelopes) != wanted:
        return f"there are {len(envelopes)} further envelopes, and {wanted} should be"
    for envelope in envelopes:
        try:
            envelope.signers({key_id: trust.holders(Role.RUNNER)[key_id]}, IN_TOTO)
            told = read_object(envelope.payload, "the provenance")
            if not _fits(told, data, record):
                return "the provenance is of another run, or says something else than the record"
        except IntegrityError as error:
            return str(error)
    return None


def _fits(told: dict[str, Any], data: bytes, record: RunRecord) -> bool:
    """Say whether a provenance is of this record: what it was made of and what came out, by the digests."""
    try:
        details = told["predicate"]["runDetails"]
        subjects = [each["digest"]["sha256"] for each in told["subject"]]
        (named,) = [each["digest"]["sha256"] for each in details["byproducts"] if each["name"] == "record"]
        invocation = details["metadata"]["invocationId"]
    except (KeyError, TypeError, ValueError):
        return False
    left = [record.notebook.digest.hex, *(each.digest.hex for each in record.artifacts)]
    kinds = (told.get("_type"), told.get("predicateType"))
    expected = (STATEMENT_TYPE, PROVENANCE_TYPE, left, digest_bytes(data).hex, str(record.run_id))
    return (*kinds, subjects, named, invocation) == expected


def _altered(name: str, told: str) -> Check:
    return Check.failed(_SIGNATURE, name, told, Conclusion.ALTERED)
