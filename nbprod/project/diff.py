"""Two runs of a project, or of two projects, compared."""

from __future__ import annotations

import io
from typing import BinaryIO

from nbprod.diff import Comparison, Side, Tolerance, compare
from nbprod.digest import Digest
from nbprod.project.run import Run
from nbprod.record.run_record import RunRecord

__all__ = ["compare_runs", "side_of"]

_IN_MEMORY = 32 << 20
"""Bytes up to which an artifact is read into memory; a larger one is copied to a local file first."""


def side_of(run: Run) -> Side:
    """Return a run as one side of a comparison: its record, and its bytes, checked as they are read."""
    artifacts = {each.digest: each for each in run.record.artifacts}

    def read(digest: Digest) -> bytes:
        return run.home.read(digest, run.id)

    def stream(digest: Digest) -> BinaryIO:
        artifact = artifacts.get(digest)
        if artifact is None or artifact.size <= _IN_MEMORY:
            return io.BytesIO(read(digest))
        return run.home.view(digest, artifact.name, run.id).open("rb")

    return Side(record=run.record, read=read, stream=stream, origin=_origin(run))


def _origin(run: Run) -> RunRecord | None:
    if run.record.of is None:
        return None
    row = run.home.ledger.run(run.record.of)
    return None if row.record is None else RunRecord.from_bytes(run.home.read(row.record, row.run_id))


def compare_runs(before: Run, after: Run, *, tolerance: Tolerance | None = None) -> Comparison:
    """Compare two runs (see `nbprod.diff.compare`); nothing is run.

    Raises:
        IntegrityError: bytes of one are not there, or not what its record says.
    """
    return compare(side_of(before), side_of(after), tolerance=tolerance)
