"""The key file: which keys may sign what, for which stretch of a log. One JSON document, signed by the root key.

Stretches are positions in the log and not times: a clock proves nothing to somebody who comes years later, the order of
a log whose checkpoints are kept elsewhere does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from nbprod.attest.dsse import Envelope, sign
from nbprod.attest.keys import PrivateKey, PublicKey
from nbprod.attest.strict import read_base64, read_object, write_base64
from nbprod.digest import canonical
from nbprod.errors import CallerError, IntegrityError, SignatureInvalid, UnsupportedVersion

__all__ = ["KEYS_TYPE", "KeyFile", "Named", "Role", "Term"]

KEYS_TYPE = "application/vnd.nbprod.keys+json"
_VERSION = 1


class Role(StrEnum):
    """What a key may sign."""

    RUNNER = "runner"
    """Records of runs."""
    REVIEWER = "reviewer"
    """Reviews of runs and of published versions."""
    PROMOTER = "promoter"
    """Publications, and moves of aliases."""
    CHECKPOINT = "checkpoint"
    """The log's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A public key, and what people call it."""

    key: PublicKey
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A stretch of the log for which a key has a role.

    Args:
        key_id: which key.
        first: the first position.
        end: the position behind the last; None: there is no end yet.
    """

    key_id: str
    first: int
    end: int | None = None

    def holds(self, position: int) -> bool:
        """Say whether the stretch has that position."""
        return self.first <= position and (self.end is None or position < self.end)

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {"key": self.key_id, "from": self.first, "until": self.end}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """Who may sign what, in one log.

    Args:
        log: which log: the origin of its checkpoints.
        number: counts up from 1 with each change.
        root: the id of the key that signs this document. Where it changes, the one before signs as well.
        keys: all keys that are named, by their ids.
        terms: for which stretches keys have a role.
    """

    log: str
    number: int
    root: str
    keys: Mapping[str, Named]
    terms: Mapping[Role, tuple[Term, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            CallerError: a key has another id than its own, or is missing; a stretch ends before it begins.
        """
        faults = [name for name, named in self.keys.items() if named.key.id != name]
        faults += [each for each in (self.root, *(term.key_id for _, term in self)) if each not in self.keys]
        if faults:
            raise CallerError(
                "a list of keys does not hold the keys that it names", found=", ".join(sorted(set(faults)))
            )
        if self.number < 1 or not self.log:
            raise CallerError("a list of keys needs a log and a number above 0", found=f"{self.log!r}, {self.number}")
        if any(term.first < 0 or (term.end is not None and term.end < term.first) for _, term in self):
            raise CallerError("a key's stretch of the log ends before it begins")

    def __iter__(self) -> Iterator[tuple[Role, Term]]:
        """Yield every role with every stretch of a key."""
        for role, terms in self.terms.items():
            yield from ((role, term) for term in terms)

    def holders(self, role: Role) -> dict[str, PublicKey]:
        """Return the keys that have, or once had, a role, by their ids."""
        return {term.key_id: self.keys[term.key_id].key for term in self.terms.get(role, ())}

    def covers(self, role: Role, key_id: str, position: int) -> bool:
        """Say whether a key has a role at a position of the log."""
        return any(term.key_id == key_id and term.holds(position) for term in self.terms.get(role, ()))

    def with_key(self, key: PublicKey, label: str, role: Role, *, first: int) -> KeyFile:
        """Return the next document, in which a key has a role from a position on.

        Raises:
            CallerError: it has that role already, from that position or an earlier one on.
        """
        mine = [term for term in self.terms.get(role, ()) if term.key_id == key.id and term.end is None]
        if any(term.first <= first for term in mine):
            raise CallerError(f"the key {key.id[:16]} has the role {role} already")
        terms = (*self.terms.get(role, ()), Term(key_id=key.id, first=first))
        named = {**self.keys, key.id: self.keys.get(key.id) or Named(key=key, label=label)}
        return replace(self, number=self.number + 1, keys=named, terms={**self.terms, role: terms})

    def without(self, key_id: str, *, end: int, roles: Iterable[Role] = tuple(Role)) -> KeyFile:
        """Return the next document, in which a key has no role any more from a position on.

        A stretch that was to begin later, or that is over sooner, is left as it is or cut to nothing.

        Raises:
            CallerError: it has none of these roles, or no longer.
        """
        wanted = frozenset(roles)
        changed: dict[Role, tuple[Term, ...]] = dict(self.terms)
        for role in wanted & set(changed):
            changed[role] = tuple(
                replace(term, end=max(term.first, end))
                if term.key_id == key_id and (term.end is None or term.end > end)
                else term
                for term in changed[role]
            )
        if changed == dict(self.terms):
            raise CallerError(f"the key {key_id[:16]} has no role that could be taken from it at position {end}")
        return replace(self, number=self.number + 1, terms=changed)

    def sign(self, root: PrivateKey, *before: PrivateKey) -> bytes:
        """Return the signed document.

        Args:
            root: the root key.
            before: the root key that it replaces.

        Raises:
            CallerError: it is not the root key.
        """
        if root.public.id != self.root:
            raise CallerError("this is not the log's root key", expected=self.root[:16], found=root.public.id[:16])
        return sign(canonical(self.to_json()), KEYS_TYPE, root, *before).to_bytes()

    def to_json(self) -> dict[str, Any]:
        """Return what is signed."""
        return {
            "version": _VERSION,
            "log": self.log,
            "number": self.number,
            "root": self.root,
            "keys": {
                name: {"label": named.label, "public": write_base64(named.key.raw)} for name, named in self.keys.items()
            },
            "roles": {str(role): [term.to_json() for term in terms] for role, terms in self.terms.items()},
        }

    @classmethod
    def open(cls, data: bytes, *, root: str | None = None) -> KeyFile:
        """Read a signed document.

        Args:
            data: what `sign` returned.
            root: the id of a key that must have signed it beside its own root: the one that is trusted so far; None:
                only its own root, which proves that the document is whole, not whose it is.

        Raises:
            SignatureInvalid: another key has signed it, or it was changed.
            UnsupportedVersion: a newer nbprod wrote it.
            IntegrityError: it is none.
        """
        envelope = Envelope.from_bytes(data)
        if envelope.payload_type != KEYS_TYPE:
            raise IntegrityError("this is no list of keys", expected=KEYS_TYPE, found=envelope.payload_type)
        read = cls._read(envelope.payload)
        if root is not None and root not in read.keys:
            raise SignatureInvalid("this list of keys has another root", expected=root, found=read.root)
        for each in dict.fromkeys((read.root, read.root if root is None else root)):
            envelope.signers({each: read.keys[each].key}, KEYS_TYPE)
        return read

    @classmethod
    def _read(cls, data: bytes) -> KeyFile:
        told = read_object(data, "this list of keys")
        if told.get("version") != _VERSION:
            raise UnsupportedVersion(
                "a newer nbprod wrote this list of keys",
                expected=f"version {_VERSION}",
                found=repr(told.get("version")),
            )
        try:
            keys = {name: _named(each) for name, each in told["keys"].items()}
            terms = {Role(role): tuple(map(_term, listed)) for role, listed in told["roles"].items()}
            found = cls(
                log=_of(str, told["log"]), number=_of(int, told["number"]), root=told["root"], keys=keys, terms=terms
            )
        except (KeyError, TypeError, ValueError, AttributeError, CallerError) as error:
            raise IntegrityError("this is no list of keys", found=f"{type(error).__name__}: {error}") from error
        if canonical(found.to_json()) != data:
            raise IntegrityError("this list of keys holds what nbprod does not know", expected="the form of version 1")
        return found


def _named(told: Mapping[str, Any]) -> Named:
    return Named(key=PublicKey(read_base64(told["public"], "a key")), label=_of(str, told["label"]))


def _term(told: Mapping[str, Any]) -> Term:
    end = told["until"]
    return Term(key_id=_of(str, told["key"]), first=_of(int, told["from"]), end=None if end is None else _of(int, end))


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value
