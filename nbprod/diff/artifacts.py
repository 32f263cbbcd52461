"""Artifacts of two runs, by name: the same bytes, the same after a named normaliser, or what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from nbprod.diff.archives import compare_gzip, compare_zip
from nbprod.diff.content import Content
from nbprod.diff.documents import DOCUMENTS
from nbprod.diff.outcome import Outcome
from nbprod.diff.side import UNREADABLE, Side
from nbprod.diff.skops_file import compare_skops
from nbprod.diff.tables import compare_csv, compare_parquet
from nbprod.record.run_record import Artifact

__all__ = ["ArtifactComparison", "compare_artifacts"]

_FILES: Mapping[str, Callable[[BinaryIO, BinaryIO], Content]] = {
    ".parquet": compare_parquet,
    ".csv": compare_csv,
    ".skops": compare_skops,
    ".zip": compare_zip,
    ".npz": compare_zip,
    ".gz": compare_gzip,
}
_PICKLES = frozenset((".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactComparison:
    """An artifact of two runs.

    Args:
        name: path below the output folder.
        outcome: how the two compare.
        by: the normaliser that looked into them; empty where the bytes are the same, or nobody did.
        before: the earlier run's; None where it left none of that name.
        after: the later run's.
        told: what differs, or why nobody looked into them; in words.
    """

    name: str
    outcome: Outcome
    by: str = ""
    before: Artifact | None = None
    after: Artifact | None = None
    told: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "outcome": str(self.outcome),
            "by": self.by,
            "before": _told(self.before),
            "after": _told(self.after),
            "told": list(self.told),
        }


def _told(artifact: Artifact | None) -> dict[str, Any] | None:
    return None if artifact is None else {"digest": str(artifact.digest), "size": artifact.size}


def compare_artifacts(before: Side, after: Side) -> tuple[ArtifactComparison, ...]:
    """Return how the artifacts of two runs compare, in the order of their names."""
    named = {each.name: each for each in before.record.artifacts}, {each.name: each for each in after.record.artifacts}
    return tuple(
        _compare(name, (named[0].get(name), before), (named[1].get(name), after))
        for name in sorted({*named[0], *named[1]})
    )


def _compare(
    name: str, before: tuple[Artifact | None, Side], after: tuple[Artifact | None, Side]
) -> ArtifactComparison:
    (first, one), (second, other) = before, after
    if first is None or second is None:
        outcome = Outcome.ONLY_AFTER if first is None else Outcome.ONLY_BEFORE
        return ArtifactComparison(name=name, outcome=outcome, before=first, after=second)
    if first.digest == second.digest:
        return ArtifactComparison(name=name, outcome=Outcome.EQUAL, before=first, after=second)
    kind = PurePosixPath(name).suffix.lower()
    if kind not in _FILES and kind not in DOCUMENTS:
        why = "a pickle is never loaded" if kind in _PICKLES else "only the bytes of such a file are compared"
        return ArtifactComparison(name=name, outcome=Outcome.DIFFERENT, before=first, after=second, told=(why,))
    try:
        with one.open(first.digest) as early, other.open(second.digest) as late:
            found = _FILES[kind](early, late) if kind in _FILES else DOCUMENTS[kind](early, late, (one.own, other.own))
    except UNREADABLE as error:
        # Their digests tell that the bytes are not the same; whether they are after normalising, nobody can.
        told = (f"the bytes are not the same, and cannot be looked into: {error}",)
        return ArtifactComparison(name=name, outcome=Outcome.UNKNOWN, before=first, after=second, told=told)
    return ArtifactComparison(
        name=name, outcome=found.outcome, by=found.by, before=first, after=second, told=found.told
    )
