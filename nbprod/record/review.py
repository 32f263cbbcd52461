"""What a person says of a run or a published version: an in-toto Statement v1, which the person's key signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nbprod.digest import Digest, read_canonical
from nbprod.errors import CallerError, IntegrityError
from nbprod.record.statement import predicate_of, statement

__all__ = ["Decision", "Review", "Wanted"]

_TYPE = "https://nbprod.dev/attestation/{}/v1"


class Decision(StrEnum):
    """What was decided."""

    APPROVED = "approved"
    """It may be used."""
    REJECTED = "rejected"
    """It may not be used."""
    SIGNED_OFF = "signed off"
    """It is fine in one respect, which is named."""
    WITHDRAWN = "withdrawn"
    """Whatever the same person said of it before is taken back."""

    @property
    def predicate_type(self) -> str:
        """The predicate's type of a statement that says so."""
        return _TYPE.format(_WORDS[self])


_WORDS: Mapping[Decision, str] = {
    Decision.APPROVED: "approval",
    Decision.REJECTED: "rejection",
    Decision.SIGNED_OFF: "sign-off",
    Decision.WITHDRAWN: "withdrawal",
}
_DECISIONS = {decision.predicate_type: decision for decision in Decision}


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a person said.

    Args:
        of: a run's id, or a published version such as `train@3`.
        digest: the run's record, or the version's manifest.
        decision: what was decided.
        at: aware.
        by: who.
        why: the reason given.
        capacity: of a sign-off: the respect in which it is fine, such as `risk`; else empty.
        log: the name of the log in which it is said: in no other does it count.
    """

    of: str
    digest: Digest
    decision: Decision
    at: datetime
    by: str
    why: str
    capacity: str = ""
    log: str

    @property
    def name(self) -> str:
        """What such a statement is called: `approval`, `rejection`, `sign-off` or `withdrawal`."""
        return _WORDS[self.decision]

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed: RFC 8785."""
        return statement(
            self.decision.predicate_type,
            [(self.of, self.digest)],
            {
                "of": self.of,
                "at": self.at.isoformat(),
                "by": self.by,
                "why": self.why,
                "log": self.log,
                **({"as": self.capacity} if self.capacity else {}),
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Review | None:
        """Read what `to_bytes` wrote; None for a statement of another kind.

        Raises:
            IntegrityError: it is no such statement.
        """
        try:
            read = read_canonical(data)
            decision = _DECISIONS.get(read["predicateType"])
            if decision is None:
                return None
            told = predicate_of(data, decision.predicate_type, newer="a newer nbprod wrote this review")
            (subject,) = read["subject"]
            return cls(
                of=str(told["of"]),
                digest=Digest.parse(f"sha256:{subject['digest']['sha256']}"),
                decision=decision,
                at=datetime.fromisoformat(told["at"]),
                by=str(told["by"]),
                why=str(told["why"]),
                capacity=str(told.get("as", "")),
                log=str(told["log"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
            raise IntegrityError("this is no review", found=f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What people must have said.

    Args:
        approvals: by how many different keys it must be approved.
        sign_offs: in which respects somebody must have signed it off.
        by_others: whether what its author says does not count.
        own_keys: whether what a development key has signed does not count.
    """

    approvals: int = 0
    sign_offs: tuple[str, ...] = ()
    by_others: bool = False
    own_keys: bool = False

    def __bool__(self) -> bool:
        """Return whether anything is wanted at all."""
        return bool(self.approvals or self.sign_offs)

    def __str__(self) -> str:
        """Return it in words."""
        parts = [f"{self.approvals} approval{'s' * (self.approvals != 1)}"] if self.approvals else []
        parts += [f"a sign-off as {name!r}" for name in self.sign_offs]
        whose = " by others than its author" if self.by_others else ""
        return " and ".join(parts) + whose
