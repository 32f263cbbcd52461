"""A bundle as what a verifier asks: a store that is only read, and a ledger that has only its events."""

# ruff: noqa: ARG002 - whoever refuses needs no arguments

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from nbprod.attest.checkpoint import Checkpoint
from nbprod.attest.dsse import Envelope
from nbprod.bundle.archive import Archive
from nbprod.bundle.form import Member, Proven
from nbprod.digest import Digest
from nbprod.errors import BundleInvalid, CallerError, DigestMismatch, NotFound, StoreUnavailable
from nbprod.ledger.events import RunEvent, StepEvent, from_json, to_json
from nbprod.ledger.log import Leaf, NoteKind
from nbprod.ledger.memory import MemoryLedger
from nbprod.ledger.memory_log import MemoryLog
from nbprod.ledger.values import read_json
from nbprod.merkle import check_consistency, leaf_hash
from nbprod.store.files import whole_file, write

__all__ = ["BundleLedger", "BundleLog", "BundleStore"]

_AT_ONCE = 256 << 20
"""Bytes above which an object is not read into memory."""


class BundleStore:
    """A `Store` that reads from a bundle; nothing can be put.

    Args:
        archive: the bundle's file.
        members: as its index names them.
    """

    def __init__(self, archive: Archive, members: Sequence[Member]) -> None:
        self._archive = archive
        self._members = {each.digest: each for each in members if each.name in archive.names}

    @property
    def url(self) -> str:
        """The bundle's file, as a URL."""
        return self._archive.path.absolute().as_uri()

    def get(self, digest: Digest) -> bytes:
        """Return the bytes, checked (see `Store.get`).

        Raises:
            BundleInvalid: they are too many to be read at once, or cannot be unfolded.
        """
        if self.size(digest) > _AT_ONCE:
            raise BundleInvalid(f"the object {digest} is too large to be read at once", expected=f"{_AT_ONCE:,} bytes")
        return b"".join(self._checked(digest))

    def copy_to(self, digest: Digest, path: Path, *, mode: int = 0o444) -> None:
        """Write the object to a file (see `Store.copy_to`)."""
        with whole_file(path, mode) as target:
            for block in self._checked(digest):
                write(target, block)

    def has(self, digest: Digest) -> bool:
        """Say whether the object is there."""
        return digest in self._members

    def size(self, digest: Digest) -> int:
        """Return the object's size in bytes."""
        return self._archive.size(self._member(digest).name)

    def check(self, digest: Digest) -> None:
        """Read the object to its end (see `Store.check`)."""
        for _ in self._checked(digest):
            pass

    def beginning(self, digest: Digest, size: int) -> bytes:
        """Return the object's first bytes (see `Store.beginning`)."""
        found = b""
        for block in self._archive.blocks(self._member(digest).name):
            found += block
            if len(found) >= size:
                break
        return found[:size]

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every object, in ascending order."""
        yield from sorted(self._members)

    def _member(self, digest: Digest) -> Member:
        if digest not in self._members:
            raise NotFound(f"the bundle {self._archive.path} has no object {digest}")
        return self._members[digest]

    def _checked(self, digest: Digest) -> Iterator[bytes]:
        hasher = hashlib.sha256()
        for block in self._archive.blocks(self._member(digest).name):
            hasher.update(block)
            yield block
        if hasher.hexdigest() != digest.hex:
            raise DigestMismatch(
                f"{self._member(digest).name} in the bundle {self._archive.path} is not what it was",
                expected=f"bytes with {digest}",
                found=f"sha256:{hasher.hexdigest()}",
            )

    # --- what only a store can do that may be written ---

    def put(self, data: bytes) -> Digest:
        """Refuse: a bundle is only read."""
        self._refuse()

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Refuse: a bundle is only read."""
        self._refuse()

    def put_as(self, path: Path, digest: Digest) -> bool:
        """Refuse: a bundle is only read."""
        self._refuse()

    def written(self, digest: Digest) -> datetime:
        """Refuse: a bundle knows no times."""
        self._refuse()

    def remove(self, digest: Digest, *, unless_after: datetime | None = None) -> bool:
        """Refuse: a bundle is only read."""
        self._refuse()

    def discard(self, digest: Digest) -> int:
        """Refuse: a bundle is only read."""
        self._refuse()

    def sweep(self) -> int:
        """Refuse: a bundle is only read."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise StoreUnavailable(f"the bundle {self._archive.path} can only be read")


class BundleLog(MemoryLog):
    """The log as far as a bundle tells of it: some leaves, their proofs, lists of keys, and one checkpoint.

    Args:
        events: with their proofs.
        ledger: has the same events, in the same order.
        checkpoint: the signed note; None: the log had none.
        keys: the signed lists of keys, in order.
        proofs: that the log at these sizes went on to the checkpoint.
    """

    def __init__(
        self,
        events: Sequence[Proven],
        ledger: MemoryLedger,
        *,
        checkpoint: str | None,
        keys: Sequence[str],
        proofs: Mapping[int, tuple[bytes, ...]],
    ) -> None:
        super().__init__(list)
        self._proven = events
        self._stored = tuple(ledger.events())
        self._proofs = proofs
        self._checkpoint = None if checkpoint is None else Checkpoint.parse(checkpoint.rpartition("\n\n")[0] + "\n")
        for body in keys:
            if Envelope.from_bytes(body.encode()).to_bytes() != body.encode():
                raise BundleInvalid("a list of keys is not in the form that nbprod writes", expected="RFC 8785")
            self.add_note(NoteKind.KEYS, body)
        if checkpoint is not None:
            self.add_note(NoteKind.CHECKPOINT, checkpoint)

    def sequence(self) -> int:
        """Return how many places the log had when the checkpoint was made."""
        return self.size()

    def size(self) -> int:
        """Return how many places the log had when the checkpoint was made."""
        return 0 if self._checkpoint is None else self._checkpoint.size

    def waiting(self) -> int:
        """Return how many events of the bundle have no place that is proven."""
        return sum(1 for each in self._proven if each.proof is None)

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Refuse: a bundle has proofs, not the tree."""
        raise BundleInvalid("a bundle does not hold the log's tree")

    def leaves(self, first: int = 0) -> Iterator[Leaf]:
        """Yield the leaves that are there, in the order of their places."""
        found = [leaf for seq in range(1, len(self._proven) + 1) if (leaf := self.leaf_of(seq)) is not None]
        yield from sorted((leaf for leaf in found if leaf.index >= first), key=lambda leaf: leaf.index)

    def leaf_of(self, seq: int) -> Leaf | None:
        """Return an event's leaf; None where nothing proves its place: anybody could claim one."""
        proven, event = self._proven[seq - 1], self._stored[seq - 1].event
        if proven.index is None or proven.proof is None:
            return None
        about = {
            "run_id": str(event.run_id) if isinstance(event, RunEvent) else None,
            "step": event.step if isinstance(event, StepEvent) else None,
            "kind": type(event).__name__,
            "at": to_json(event)["at"],
        }
        return Leaf(index=proven.index, seq=seq, hash=leaf_hash(proven.body), body=proven.body, about=about)

    def proof_of(self, leaf: Leaf, size: int) -> Sequence[bytes]:
        """Return what proves a leaf's place in the tree of the bundle's checkpoint.

        Raises:
            BundleInvalid: there is none for a tree of that size.
        """
        proof = self._proven[leaf.seq - 1].proof
        if proof is None or size != self.size():
            raise BundleInvalid(f"the bundle holds no proof for the event at place {leaf.index}")
        return proof

    def compare(self, wanted: Checkpoint) -> bool:
        """See that an earlier checkpoint's log went on to the bundle's; return whether that can be told.

        Raises:
            IntegrityError: it did not.
        """
        mine = self._checkpoint
        if mine is None or wanted.size > mine.size:
            return False
        if wanted.size == mine.size:
            if wanted.root != mine.root:
                raise BundleInvalid(
                    f"the first {mine.size} events are not what they were",
                    expected=wanted.root.hex(),
                    found=mine.root.hex(),
                )
            return True
        if wanted.size and wanted.size not in self._proofs:
            return False
        if wanted.size:
            check_consistency(wanted.size, mine.size, self._proofs[wanted.size], wanted.root, mine.root)
        return True


class BundleLedger(MemoryLedger):
    """The events of a bundle's runs, and what follows from them.

    Args:
        events: with their proofs, each run's in order.
        checkpoint: see `BundleLog`.
        keys: see `BundleLog`.
        proofs: see `BundleLog`.

    Raises:
        BundleInvalid: the events are none, or do not follow from each other.
    """

    def __init__(
        self,
        events: Sequence[Proven],
        *,
        checkpoint: str | None,
        keys: Sequence[str],
        proofs: Mapping[int, tuple[bytes, ...]],
    ) -> None:
        super().__init__()
        try:
            for each in events:
                self.append(from_json(read_json(each.body.decode())))
        except (CallerError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            found = "a number beyond all bounds" if isinstance(error, OverflowError) else str(error)
            raise BundleInvalid("the events of this bundle do not follow from each other", found=found) from error
        self._view = BundleLog(events, self, checkpoint=checkpoint, keys=keys, proofs=proofs)

    @property
    def log(self) -> BundleLog:
        """The log as far as the bundle tells of it."""
        return self._view
