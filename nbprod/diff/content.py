"""What looking into two files came to."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.diff.outcome import Outcome

__all__ = ["Content", "TooMuchError"]


class TooMuchError(Exception):
    """A file is larger, or holds more, than is looked into. Inside the comparison only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What looking into two files came to.

    Args:
        outcome: `equal after normalising`, `different` or `cannot tell`.
        by: the name of the normaliser.
        told: where they differ, or why they could not be looked into; in words.
    """

    outcome: Outcome
    by: str
    told: tuple[str, ...] = ()
