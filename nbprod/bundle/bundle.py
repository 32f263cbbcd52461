"""Reading a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from nbprod.bundle.archive import Archive
from nbprod.bundle.form import CHECKPOINT, CONSISTENCY, EVENTS, INDEX, KEYS, Index, Member, read_events, read_proofs
from nbprod.bundle.views import BundleLedger, BundleStore
from nbprod.digest import Digest
from nbprod.errors import BundleInvalid, CallerError, IntegrityError, NotFound
from nbprod.record.ids import RunId
from nbprod.record.kept import KeptInput, kept_inputs
from nbprod.record.run_record import RunRecord
from nbprod.record.trace import Trace

__all__ = ["Bundle", "open_bundle"]

_AT_ONCE = 64 << 20
"""Bytes of the index, and of each other file that tells of the log."""


class Bundle:
    """A bundle, open for reading. Nothing in it is believed: what leaves it is checked against its digest, no more.

    Args:
        archive: its file.

    Raises:
        UnsupportedVersion: a newer nbprod wrote it.
        BundleInvalid: it is no bundle.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.index = Index.from_bytes(self._read(INDEX))
        self.store = BundleStore(archive, self.index.members)

    @property
    def path(self) -> Path:
        """The file."""
        return self._archive.path

    @property
    def run_id(self) -> RunId:
        """The run that the bundle was made for."""
        return self.index.runs[0].run

    @property
    def run_ids(self) -> tuple[RunId, ...]:
        """All its runs: the one it was made for, and then those whose results that used."""
        return tuple(each.run for each in self.index.runs)

    def record(self, run_id: RunId) -> RunRecord:
        """Return a run's record.

        Raises:
            NotFound: the bundle has no such run, or not its record.
            IntegrityError: it is not what it was.
        """
        for each in self.index.runs:
            if each.run == run_id:
                return RunRecord.from_bytes(self.store.get(each.record))
        raise NotFound(f"the bundle {self.path} has no run {run_id}")

    def trace(self, run_id: RunId) -> Trace | None:
        """Return what a run touched; None where its record names no such list (raises as `record`)."""
        kept = self.record(run_id).trace
        return None if kept is None else Trace.from_bytes(self.store.get(kept.digest))

    def knows_inputs(self, run_id: RunId) -> bool:
        """Return whether the list of what a run touched is here, or there never was one (raises as `record`)."""
        kept = self.record(run_id).trace
        return kept is None or self.store.has(kept.digest)

    def inputs(self, run_id: RunId) -> tuple[KeptInput, ...]:
        """Return the inputs that were kept with a run, whether the bundle has them or not (raises as `record`)."""
        trace = self.trace(run_id)
        return () if trace is None else tuple(kept_inputs(trace, self._listing))

    def read(self, digest: Digest) -> bytes:
        """Return the bytes of an object, checked.

        Raises:
            NotFound: the bundle has no such object.
            IntegrityError: they are not what they were.
        """
        return self.store.get(digest)

    @cached_property
    def ledger(self) -> BundleLedger:
        """The events of its runs, and the log as far as the bundle tells of it.

        Raises:
            BundleInvalid: they cannot be read.
        """
        names = sorted(name for name in self._archive.names if name.startswith(f"{KEYS}/"))
        try:
            return BundleLedger(
                read_events(self._read(EVENTS)),
                checkpoint=self._read(CHECKPOINT).decode() if CHECKPOINT in self._archive.names else None,
                keys=[self._read(name).decode() for name in names],
                proofs=read_proofs(self._read(CONSISTENCY)) if CONSISTENCY in self._archive.names else {},
            )
        except (UnicodeDecodeError, IntegrityError, CallerError, RecursionError) as error:
            raise BundleInvalid("what this bundle tells of the log cannot be read", found=str(error)) from error

    def faults(self, *, reads: bool = True) -> Iterator[str]:
        """Read every member, and yield, for people, in what they are not what the index says.

        Args:
            reads: whether to; else their names are compared alone.
        """
        listed = {each.name: each for each in self.index.members}
        yield from (f"{name} is not named in the index" for name in sorted(self._archive.names - {INDEX, *listed}))
        if len(listed) < len(self.index.members):
            yield "the index names a file twice"
        for name, member in sorted(listed.items()):
            if name not in self._archive.names:
                yield f"{name} ({member.what}) is missing"
            elif reads and (fault := self._fault(member)):
                yield fault

    def _fault(self, member: Member) -> str | None:
        import hashlib  # noqa: PLC0415 - slow for who only reads the index

        hasher, size = hashlib.sha256(), 0
        try:
            for block in self._archive.blocks(member.name):
                hasher.update(block)
                size += len(block)
        except BundleInvalid as error:
            return error.what
        if (hasher.hexdigest(), size) == (member.digest.hex, member.size):
            return None
        return f"{member.name} ({member.what}) is not what the index says"

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    def __enter__(self) -> Self:
        """Return the bundle."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the file."""
        self.close()

    def _listing(self, digest: Digest) -> bytes | None:
        return self.store.get(digest) if self.store.has(digest) else None

    def _read(self, name: str) -> bytes:
        if name not in self._archive.names:
            raise BundleInvalid(f"{self.path} is no bundle", expected=f"a file {name} in it", found="none")
        if self._archive.size(name) > _AT_ONCE:
            raise BundleInvalid(f"{name} in {self.path} is too large", expected=f"{_AT_ONCE:,} bytes at most")
        return b"".join(self._archive.blocks(name))


def open_bundle(path: Path) -> Bundle:
    """Open a bundle; close it, or use it in a `with`.

    Only its form is looked at, within bounds: `nbprod.verify.bundled` tells whether it is what it says.

    Raises:
        CallerError: there is no such file.
        UnsupportedVersion: a newer nbprod wrote it.
        BundleInvalid: it is no bundle.
    """
    archive = Archive(path)
    try:
        return Bundle(archive)
    except BaseException:
        archive.close()
        raise
