"""The words for how two things compare."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Outcome"]


class Outcome(StrEnum):
    """How something of one run compares with the same of another."""

    EQUAL = "equal"
    NORMALISED = "equal after normalising"
    """Named rules took away what says nothing about results; what is left is equal."""
    DIFFERENT = "different"
    ONLY_BEFORE = "only before"
    ONLY_AFTER = "only after"
    UNKNOWN = "cannot tell"
    """It could not be looked at: its bytes were erased, are not there or cannot be read."""

    @property
    def same(self) -> bool:
        """Whether there is no difference that counts."""
        return self in (Outcome.EQUAL, Outcome.NORMALISED)
