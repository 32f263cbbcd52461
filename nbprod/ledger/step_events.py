"""Events about published steps."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.digest import Digest
from nbprod.ledger.event import StepEvent
from nbprod.record.publication import AliasStatement

__all__ = ["AliasMoved", "StepPublished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPublished(StepEvent):
    """Someone froze a step under its next version; what belongs to it is in the store.

    Args:
        number: the version, counts up from 1 for each step.
        manifest: the digest of what names everything that belongs to it.
        by: who did.
        note: for people.
        statement: the digest of what states all this in the store, for a ledger that is lost; None in older events.
        attestation: the signed envelope of that statement; None: it is not signed.
    """

    number: int
    manifest: Digest
    by: str
    note: str = ""
    statement: Digest | None = None
    attestation: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMoved(StepEvent):
    """Someone let a name point at another version of a step.

    Args:
        alias: the name, such as `production`.
        number: the version that it points at now; None: it was taken away.
        before: where it pointed; None: it was new. The ledger refuses the event where this is not so.
        by: who did.
        why: the reason given.
        log: the name of the log in which it is said; empty where that had none yet, or it is not signed.
        attestation: the signed envelope of an `AliasStatement`; None: it is not signed.
    """

    alias: str
    number: int | None
    before: int | None
    by: str
    why: str = ""
    log: str = ""
    attestation: Digest | None = None

    def stated(self, manifest: Digest) -> AliasStatement:
        """Return what is signed of it.

        Args:
            manifest: of the version that the alias points at, or pointed at last.
        """
        return AliasStatement(
            step=self.step,
            alias=self.alias,
            version=self.number,
            before=self.before,
            manifest=manifest,
            at=self.at,
            by=self.by,
            why=self.why,
            log=self.log,
        )
