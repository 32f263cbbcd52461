"""Envelopes with signed bytes: DSSE 1.0.2 (secure-systems-lab/dsse, protocol.md and envelope.md), Ed25519 only.

One thing is stricter here: of the two alphabets of base64 that DSSE lets a reader take, only the standard one is read,
in its canonical form, so that an envelope has no second form that reads the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.attest.keys import PrivateKey, PublicKey
from nbprod.attest.strict import read_base64, read_object, write_base64
from nbprod.digest import canonical
from nbprod.errors import IntegrityError, SignatureInvalid

__all__ = ["IN_TOTO", "Envelope", "Signature", "pae", "sign"]

IN_TOTO = "application/vnd.in-toto+json"
"""The payload type of in-toto statements."""

_MOST = 100
"""Signatures of one envelope that are looked at."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: type and bytes, each behind its length (DSSE's Pre-Authentication Encoding)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of an envelope.

    Args:
        key_id: which key it is said to be of: a hint that nothing vouches for; empty for none.
        value: 64 bytes.
    """

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Bytes, what they are, and who signed them. To be believed only as far as `signers` says.

    Args:
        payload: the signed bytes.
        payload_type: how they are to be read; signed, too.
        signatures: one or more.
    """

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    def signers(self, keys: Mapping[str, PublicKey], payload_type: str, *, threshold: int = 1) -> tuple[str, ...]:
        """Return the names of the keys that have signed, each key once.

        A signature that no key has made is passed over, as DSSE has it: whoever adds one takes nothing away.

        Args:
            keys: those that are trusted, by the names that `Signature.key_id` gives them.
            payload_type: what the envelope has to hold.
            threshold: how many different keys must have signed.

        Raises:
            SignatureInvalid: it holds something else, or too few of the keys have signed.
        """
        if self.payload_type != payload_type:
            raise SignatureInvalid("this envelope holds something else", expected=payload_type, found=self.payload_type)
        signed = pae(self.payload_type, self.payload)
        found: dict[PublicKey, str] = {}
        for each in self.signatures:
            for name, key in keys.items():
                fits = each.key_id in ("", name)
                if fits and key not in found and key.verifies(each.value, signed):
                    found[key] = name
        if len(found) < threshold:
            named = ", ".join(each.key_id[:16] or "no key" for each in self.signatures) or "none"
            raise SignatureInvalid(
                "the signature is not of a key that is trusted for this, or these are not the bytes that were signed",
                expected=f"{threshold} of {', '.join(name[:16] for name in keys) or 'no keys'}",
                found=f"signatures that name {named}",
            )
        return tuple(found.values())

    def to_bytes(self) -> bytes:
        """Return the envelope as canonical JSON (RFC 8785)."""
        signatures = ",".join(
            f'{{"keyid":{_text(each.key_id)},"sig":"{write_base64(each.value)}"}}'
            if each.key_id
            else f'{{"sig":"{write_base64(each.value)}"}}'
            for each in self.signatures
        )
        # Put together by hand: base64 has nothing to escape, and payloads are long.
        payload = write_base64(self.payload)
        return (
            f'{{"payload":"{payload}","payloadType":{_text(self.payload_type)},"signatures":[{signatures}]}}'.encode()
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Read an envelope; nothing is verified yet. Unknown fields are passed over: nothing vouches for them.

        Raises:
            IntegrityError: it is none.
        """
        told = read_object(data, "this envelope")
        payload_type, listed = told.get("payloadType"), told.get("signatures")
        if not isinstance(payload_type, str) or not isinstance(listed, list) or not 0 < len(listed) <= _MOST:
            raise IntegrityError(
                "this envelope cannot be read", expected=f"payload, payloadType and 1 to {_MOST} signatures"
            )
        payload = read_base64(told.get("payload"), "an envelope's payload")
        return cls(payload=payload, payload_type=payload_type, signatures=tuple(map(_signature, listed)))


def _text(text: str) -> str:
    return canonical(text).decode()


def sign(payload: bytes, payload_type: str, *keys: PrivateKey) -> Envelope:
    """Sign bytes with one or more keys."""
    signed = pae(payload_type, payload)
    signatures = tuple(Signature(key.public.id, key.sign(signed)) for key in keys)
    return Envelope(payload=payload, payload_type=payload_type, signatures=signatures)


def _signature(told: Any) -> Signature:
    if not isinstance(told, dict) or not isinstance(told.get("keyid", ""), str):
        raise IntegrityError("an envelope's signature cannot be read", expected="an object with keyid and sig")
    return Signature(told.get("keyid", ""), read_base64(told.get("sig"), "an envelope's signature"))
