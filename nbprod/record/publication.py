"""What is stated of a published version, and of an alias that moves: in-toto Statements v1.

The manifest says what was frozen, and is the same wherever and whenever the same is frozen. The number, by whom and
when stand in a statement that is kept beside it, so that a ledger that is lost can be made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nbprod.digest import Digest
from nbprod.errors import CallerError, IntegrityError
from nbprod.record.statement import predicate_of, statement

__all__ = ["PUBLICATION_TYPE", "AliasStatement", "VersionStatement"]

PUBLICATION_TYPE = "https://nbprod.dev/attestation/publication/v1"
_MOVE_TYPE = "https://nbprod.dev/attestation/alias-move/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatement:
    """A step was frozen under a version.

    Args:
        step: its name.
        version: counts up from 1.
        manifest: the digest of what names everything that belongs to it.
        at: aware.
        by: who did.
        note: for people.
    """

    step: str
    version: int
    manifest: Digest
    at: datetime
    by: str
    note: str = ""

    def to_bytes(self) -> bytes:
        """Return the bytes that are kept: RFC 8785."""
        return statement(
            PUBLICATION_TYPE,
            [(f"{self.step}@{self.version}", self.manifest)],
            {
                "step": self.step,
                "version": self.version,
                "manifest": str(self.manifest),
                "at": self.at.isoformat(),
                "by": self.by,
                "note": self.note,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> VersionStatement:
        """Read what `to_bytes` wrote.

        Raises:
            UnsupportedVersion: a newer nbprod wrote it.
            IntegrityError: it is no such statement.
        """
        try:
            told = predicate_of(data, PUBLICATION_TYPE, newer="this step was published by a newer nbprod")
            return cls(
                step=str(told["step"]),
                version=int(told["version"]),
                manifest=Digest.parse(told["manifest"]),
                at=datetime.fromisoformat(told["at"]),
                by=str(told["by"]),
                note=str(told["note"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
            raise IntegrityError("this states no published step", found=f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasStatement:
    """An alias of a step was moved, or taken away.

    Args:
        step: the step's name.
        alias: the alias.
        version: where it points now; None: nowhere.
        before: where it pointed.
        manifest: of the version that it points at, or pointed at last where it was taken away.
        at: aware.
        by: who did.
        why: the reason given.
        log: the name of the log in which it is said; empty where that has none yet.
    """

    step: str
    alias: str
    version: int | None
    before: int | None
    manifest: Digest
    at: datetime
    by: str
    why: str
    log: str

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed: RFC 8785."""
        number = self.before if self.version is None else self.version
        return statement(
            _MOVE_TYPE,
            [(f"{self.step}@{number}", self.manifest)],
            {
                "step": self.step,
                "alias": self.alias,
                "version": self.version,
                "before": self.before,
                "at": self.at.isoformat(),
                "by": self.by,
                "why": self.why,
                "log": self.log,
            },
        )
