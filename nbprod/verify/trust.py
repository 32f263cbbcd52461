"""Whose signatures count: the log's list of keys, from document to document; where there is none, one's own keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nbprod.attest.keyfile import KeyFile, Role
from nbprod.attest.keys import PublicKey
from nbprod.attest.note import NoteKey
from nbprod.errors import IntegrityError, SignatureInvalid
from nbprod.ledger.log import EventLog, NoteKind

__all__ = ["Trust", "read_trust"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signatures count.

    Args:
        current: the list of keys that holds; None: this log has none.
        pinned: whether its root key was known before.
        own: the verifier's own keys, by id, with what they are called; they count where there is no list.
        roots: the ids of the root keys of the log's lists, the oldest first.
        unvouched: whether the verifier named a root key that leads to none of them: then nothing that he trusts vouches
            for what the list lets sign.
        document: the list that holds as its root key signed it; empty: there is none.
    """

    current: KeyFile | None = None
    pinned: bool = False
    own: Mapping[str, tuple[str, PublicKey]] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    unvouched: bool = False
    document: str = ""

    def rooted(self, root: str) -> Trust:
        """Return the trust of who knows a root key.

        Raises:
            SignatureInvalid: it leads to no list of keys.
        """
        if root not in self.roots:
            found = self.roots[-1][:16] if self.roots else "no list of keys"
            what = "the root key that is trusted leads to no list of keys"
            raise SignatureInvalid(what, expected=root[:16], found=found)
        return replace(self, pinned=True)

    def holders(self, role: Role) -> dict[str, PublicKey]:
        """Return the keys that may ever have signed in a role, by their ids."""
        if self.current is not None:
            return self.current.holders(role)
        return {key_id: key for key_id, (_, key) in self.own.items()}

    def label(self, key_id: str) -> str | None:
        """Return what a key is called; None for one that is not known."""
        if self.current is not None:
            named = self.current.keys.get(key_id)
            return None if named is None else named.label
        return self.own[key_id][0] if key_id in self.own else None

    def note_keys(self) -> list[NoteKey]:
        """Return the keys of checkpoints."""
        if self.current is None:
            return []
        return [NoteKey(self.current.log, key) for key in self.current.holders(Role.CHECKPOINT).values()]

    def signs_at(self, key_id: str, size: int) -> bool:
        """Say whether a key may sign the log's state at a size: the one that ends there, and the one that begins."""
        terms = () if self.current is None else self.current.terms.get(Role.CHECKPOINT, ())
        return any(
            term.key_id == key_id and term.first <= size and (term.end is None or size <= term.end) for term in terms
        )


def read_trust(
    log: EventLog, *, root: str | None = None, own: Mapping[str, tuple[str, PublicKey]] | None = None
) -> Trust:
    """Return whose signatures count in a log.

    Each list must be signed by its own root key and by that of the list before it, so that the root that is trusted
    leads to the list that holds.

    Args:
        log: which.
        root: the id of a root key that the verifier knows; None: whoever began the log is believed.
        own: the verifier's own keys.

    Raises:
        SignatureInvalid: a list was changed, is out of order, or no known root leads to it.
        IntegrityError: what is kept as a list is none.
    """
    current: KeyFile | None = None
    document = ""
    roots: list[str] = []
    for note in log.notes(NoteKind.KEYS):
        read = KeyFile.open(note.body.encode(), root=None if current is None else current.root)
        number, name = (1, read.log) if current is None else (current.number + 1, current.log)
        if (read.number, read.log) != (number, name):
            raise IntegrityError(
                "the lists of keys do not follow each other",
                expected=f"number {number} of {name}",
                found=f"number {read.number} of {read.log}",
            )
        current, document = read, note.body
        roots.append(read.root)
    found = Trust(current=current, own=own or {}, roots=tuple(roots), document=document)
    return found if root is None else found.rooted(root)
