"""What stays of erased bytes: an in-toto Statement v1, kept in the store beside the run's record.

The ledger's event says the same. The statement is there so that a ledger that is lost can be made anew with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nbprod.digest import Digest
from nbprod.errors import CallerError, IntegrityError
from nbprod.record.ids import RunId
from nbprod.record.statement import predicate_of, statement

__all__ = ["ERASURE_TYPE", "ErasedObject", "Tombstone"]

ERASURE_TYPE = "https://nbprod.dev/attestation/erasure/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedObject:
    """Bytes of a run that were erased.

    Args:
        name: what they were (see `Part.name`).
        digest: of the bytes.
        size: in bytes.
        there: whether the store had them when they were to be erased: what was lost before stays lost.
    """

    name: str
    digest: Digest
    size: int
    there: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        told = {"name": self.name, "digest": str(self.digest), "size": self.size}
        return told if self.there else {**told, "there": False}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ErasedObject:
        """Read what `to_json` wrote.

        Raises:
            TypeError, KeyError, CallerError: it is none.
        """
        name, size, there = data["name"], data["size"], data.get("there", True)
        fine = isinstance(name, str) and isinstance(size, int) and not isinstance(size, bool)
        if not fine or not isinstance(there, bool):
            raise TypeError(f"expected a name, a size in bytes and a bool, got {name!r}, {size!r} and {there!r}")
        return cls(name=name, digest=Digest.parse(data["digest"]), size=size, there=there)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Bytes of a run were erased.

    Args:
        run_id: the run.
        at: when; aware.
        by: who did.
        why: the reason given.
        objects: what was erased.
    """

    run_id: RunId
    at: datetime
    by: str
    why: str
    objects: tuple[ErasedObject, ...]

    def to_bytes(self) -> bytes:
        """Return the bytes that are kept: RFC 8785."""
        return statement(
            ERASURE_TYPE,
            ((each.name, each.digest) for each in self.objects),
            {
                "run": str(self.run_id),
                "at": self.at.isoformat(),
                "by": self.by,
                "why": self.why,
                "objects": [each.to_json() for each in self.objects],
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Tombstone:
        """Read what `to_bytes` wrote.

        Raises:
            UnsupportedVersion: a newer nbprod wrote it.
            IntegrityError: it is no such statement.
        """
        try:
            told = predicate_of(data, ERASURE_TYPE, newer="a newer nbprod erased this")
            return cls(
                run_id=RunId(told["run"]),
                at=datetime.fromisoformat(told["at"]),
                by=str(told["by"]),
                why=str(told["why"]),
                objects=tuple(ErasedObject.from_json(each) for each in told["objects"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
            raise IntegrityError("this is no tombstone", found=f"{type(error).__name__}: {error}") from error
