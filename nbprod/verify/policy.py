"""What a verifier asks for beyond soundness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nbprod.verify.outcome import Check

__all__ = ["Known", "Policy"]

STEP = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a run when the policy is asked.

    Args:
        covered: whether a checkpoint covers all of its events.
        label: what the key that signed it is called; None: it is unsigned, or the key is not known.
        listed: whether the key stands in the log's list of keys.
        pinned: whether the list's root key is one that the verifier knew before.
    """

    covered: bool
    label: str | None
    listed: bool
    pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is asked for.

    Args:
        covered: a checkpoint has to cover the run.
        own_keys: a development key is not enough, nor one that no list of keys names.
        pinned: the root key of the list must have been known before.
    """

    covered: bool = False
    own_keys: bool = False
    pinned: bool = False

    @classmethod
    def strict(cls) -> Policy:
        """Return the policy that asks for all of it."""
        return cls(covered=True, own_keys=True, pinned=True)

    def checks(self, known: Known, *, development: str) -> Iterator[Check]:
        """Yield what the policy says.

        Args:
            known: of the run.
            development: what development keys are called.
        """
        name = "policy"
        if known.label == development:
            told = "a development key signed it, which vouches for nobody"
            yield Check.open(STEP, name, told) if self.own_keys else Check.passed(STEP, name, told)
        elif known.label is not None and not known.listed and self.own_keys:
            yield Check.open(STEP, name, "the key that signed it stands in no list of keys")
        if self.covered and not known.covered:
            yield Check.open(STEP, name, "a checkpoint must cover it, and none does")
        if self.pinned and not known.pinned:
            yield Check.open(STEP, name, "the root key must have been known before: give --root or --keys")
        if known.label not in (None, development) and (known.listed or not self.own_keys):
            yield Check.passed(STEP, name, f"the key {known.label} signed it")
