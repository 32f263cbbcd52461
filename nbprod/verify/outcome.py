"""What verifying comes to: a value with every check that was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Check", "Conclusion", "Outcome", "Verification", "conclude"]


class Conclusion(StrEnum):
    """What follows from all checks together; the earlier goes before the later."""

    ALTERED = "altered"
    """Something is not what was signed, or what the log had."""
    INCOMPLETE = "incomplete"
    """Something is missing that should be there."""
    UNSIGNED = "unsigned"
    """Nobody signed it."""
    CANNOT_TELL = "cannot tell"
    """It fits together, and nothing that the verifier trusts vouches for it."""
    VERIFIED = "verified"


class Outcome(StrEnum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_YET = "not yet"
    """What it needs will be there later: an event that no checkpoint covers so far."""
    NOT_APPLICABLE = "not applicable"
    CANNOT_TELL = "cannot tell"
    REJECTED = "rejected"
    """Somebody whose word counts has rejected it: no fault of what was recorded, and to be told loudly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Args:
        step: its number in docs/how-to/verify.md.
        name: what was looked at.
        outcome: what came of it.
        told: the reason, for people.
        means: what a check that did not pass means for the whole.
    """

    step: int
    name: str
    outcome: Outcome
    told: str
    means: Conclusion = Conclusion.VERIFIED

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle in half the time: processes that verify together hand over a dozen for each run."""
        return _check, (self.step, self.name, self.outcome, self.told, self.means)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "step": self.step,
            "name": self.name,
            "outcome": str(self.outcome),
            "told": self.told,
            "means": str(self.means),
        }

    @classmethod
    def passed(cls, step: int, name: str, told: str) -> Check:
        """Make a check that passed."""
        return cls(step=step, name=name, outcome=Outcome.PASSED, told=told)

    @classmethod
    def failed(cls, step: int, name: str, told: str, means: Conclusion) -> Check:
        """Make a check that failed."""
        return cls(step=step, name=name, outcome=Outcome.FAILED, told=told, means=means)

    @classmethod
    def open(cls, step: int, name: str, told: str) -> Check:
        """Make a check whose outcome cannot be told."""
        return cls(step=step, name=name, outcome=Outcome.CANNOT_TELL, told=told, means=Conclusion.CANNOT_TELL)

    @classmethod
    def passed_over(cls, step: int, name: str, told: str) -> Check:
        """Make a check of what nothing that is trusted vouches for, and that counts for nothing."""
        return cls(step=step, name=name, outcome=Outcome.CANNOT_TELL, told=told)

    @classmethod
    def rejected(cls, step: int, name: str, told: str) -> Check:
        """Make a check that tells of a rejection, which counts for nothing where nobody asks for approvals."""
        return cls(step=step, name=name, outcome=Outcome.REJECTED, told=told)

    @classmethod
    def beside(cls, step: int, name: str, told: str) -> Check:
        """Make a check that there is nothing to apply to."""
        return cls(step=step, name=name, outcome=Outcome.NOT_APPLICABLE, told=told)

    @classmethod
    def later(cls, step: int, name: str, told: str) -> Check:
        """Make a check that has to wait."""
        return cls(step=step, name=name, outcome=Outcome.NOT_YET, told=told)


def _check(step: int, name: str, outcome: Outcome, told: str, means: Conclusion) -> Check:
    return Check(step=step, name=name, outcome=outcome, told=told, means=means)


def conclude(checks: Iterable[Check]) -> Conclusion:
    """Return what the checks come to: the gravest of what they mean."""
    order = list(Conclusion)
    return min((check.means for check in checks), key=order.index, default=Conclusion.VERIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found out about a run, or about a whole log. True in a condition only if nothing speaks against it.

    Args:
        subject: the run's id, or the log's name.
        checks: all that were made, in the order of their steps.
    """

    subject: str
    checks: tuple[Check, ...]

    @property
    def conclusion(self) -> Conclusion:
        """What follows."""
        return conclude(self.checks)

    @property
    def covered(self) -> bool:
        """Whether nothing has to wait for a checkpoint."""
        return all(check.outcome is not Outcome.NOT_YET for check in self.checks)

    @property
    def rejected(self) -> bool:
        """Whether somebody whose word counts has rejected it, whatever else was found out."""
        return any(check.outcome is Outcome.REJECTED for check in self.checks)

    def __bool__(self) -> bool:
        """Return whether it is verified."""
        return self.conclusion is Conclusion.VERIFIED

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "subject": self.subject,
            "conclusion": str(self.conclusion),
            "covered": self.covered,
            "rejected": self.rejected,
            "checks": [check.to_json() for check in self.checks],
        }
