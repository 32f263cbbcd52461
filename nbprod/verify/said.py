"""Whether a statement beside a record is signed, and by a key that may say so there (steps 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nbprod.attest.bundle import from_lines
from nbprod.attest.dsse import IN_TOTO, Envelope
from nbprod.attest.keyfile import Role
from nbprod.attest.keyring import DEVELOPMENT
from nbprod.digest import Digest, digest_bytes
from nbprod.errors import IntegrityError, NotFound, SignatureInvalid
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.log import Leaf
from nbprod.store import Store
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.stored import lost
from nbprod.verify.trust import Trust

__all__ = ["KEY", "SIGNATURE", "Court", "Said", "altered", "called", "not_counted"]

SIGNATURE, KEY = 1, 2


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a statement.

    Args:
        check: the check.
        key_id: the key that has signed it, where it counts; None: it counts for nothing.
        label: what that key is called.
        why: why it counts for nothing; empty where it does, or was altered.
    """

    check: Check
    key_id: str | None = None
    label: str = ""
    why: str = ""

    @property
    def development(self) -> bool:
        """Whether a development key has signed it."""
        return self.label.startswith(DEVELOPMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """What statements are judged by.

    Args:
        leaf_of: returns an event's leaf by its number; None while it has no place.
        store: has the envelopes.
        trust: whose signatures count.
        size: how many places were given.
    """

    leaf_of: Callable[[int], Leaf | None]
    store: Store
    trust: Trust
    size: int

    def place(self, stored: StoredEvent) -> int:
        """Return an event's place; where it has none yet, the one that it gets at the earliest."""
        leaf = self.leaf_of(stored.seq)
        return self.size if leaf is None else leaf.index

    def judge(
        self,
        name: str,
        told: str,
        stored: StoredEvent,
        *,
        attestation: Digest,
        statement: Digest,
        roles: Sequence[Role],
    ) -> Said:
        """Judge a statement.

        Args:
            name: what it is called.
            told: what it says, for people.
            stored: the event that says so.
            attestation: the digest of its envelope.
            statement: the digest of the bytes that must be signed.
            roles: those of which the key must have one.
        """
        try:
            envelope = _envelope(self.store.get(attestation), statement)
            if (why := _unknown(envelope, self.trust, roles)) is not None:
                return not_counted(name, told, why)
            role, key_id = self._signer(envelope, roles, self.place(stored))
        except NotFound:
            return Said(lost(SIGNATURE, name, self.store, attestation, f"the signature of the {name}"))
        except IntegrityError as error:
            return altered(SIGNATURE, name, f"{told}: {error}")
        whose = called(self.trust, key_id)
        if role is None:
            place = self.place(stored)
            why = f"the list of keys does not let {whose} sign as {' or '.join(roles)} at place {place}"
            return not_counted(name, told, f"{why}: {_terms(self.trust, key_id, roles, place)}")
        return Said(
            Check.passed(KEY, name, f"{told}; signed by the key {whose}, {role}"),
            key_id,
            self.trust.label(key_id) or "",
        )

    def _signer(self, envelope: Envelope, roles: Sequence[Role], place: int) -> tuple[Role | None, str]:
        """Return the key that has signed, and its role at the place; no role where it has none there."""
        fault: SignatureInvalid | None = None
        without: str | None = None
        for role in roles:
            try:
                signers = envelope.signers(self.trust.holders(role), IN_TOTO)
            except SignatureInvalid as error:
                fault = fault or error
                continue
            for key_id in signers:
                if self.trust.current is None or self.trust.current.covers(role, key_id, place):
                    return role, key_id
                without = without or key_id
        if without is not None:
            return None, without
        raise fault or SignatureInvalid("nobody may sign this", expected="a role")


def called(trust: Trust, key_id: str) -> str:
    """Return what people call a key: the beginning of its id, and its label."""
    return f"{key_id[:8]} ({trust.label(key_id)})"


def not_counted(name: str, told: str, why: str) -> Said:
    """Return that a statement counts for nothing, and why."""
    return Said(Check.passed_over(KEY, name, f"{told}, which does not count: {why}"), why=why)


def altered(step: int, name: str, told: str) -> Said:
    """Return that a statement is not what was said."""
    return Said(Check.failed(step, name, told, Conclusion.ALTERED))


def _envelope(data: bytes, statement: Digest) -> Envelope:
    envelope, *more = from_lines(data)
    if more or digest_bytes(envelope.payload) != statement:
        raise IntegrityError("what is signed is something else")
    return envelope


def _unknown(envelope: Envelope, trust: Trust, roles: Sequence[Role]) -> str | None:
    """Return that nobody can tell, where the signature names no key that ever had such a role."""
    known = {key_id for role in roles for key_id in trust.holders(role)}
    named = [each.key_id for each in envelope.signatures]
    if any(each == "" or each in known for each in named) or envelope.payload_type != IN_TOTO:
        return None
    keys = ", ".join(each[:8] if trust.label(each) is None else called(trust, each) for each in named)
    return f"it names the key {keys}, which is not known as {' or '.join(roles)}"


def _terms(trust: Trust, key_id: str, roles: Sequence[Role], place: int) -> str:
    """Return, in words, from where on or until where a key may sign; it may not at the place."""
    assert trust.current is not None  # noqa: S101 - without a list, no place matters
    terms = [term for role in roles for term in trust.current.terms.get(role, ()) if term.key_id == key_id]
    ended = [term.end for term in terms if term.end is not None and term.end <= place]
    if ended:
        return f"it was revoked from place {max(ended)} on"
    return f"it may from place {min(term.first for term in terms)} on"
