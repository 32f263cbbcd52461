"""How it is to be verified: what the verifier brings along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbprod.verify.outcome import Check, Outcome, Verification
from nbprod.verify.policy import Policy
from nbprod.verify.trust import Trust

__all__ = ["Asked", "beliefs_in", "believed"]

_STEP, _NAME = 2, "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How it is to be verified.

    Args:
        root: the id of the root key that is trusted; None: the one seen last time, or whoever began the log.
        keys: a signed list of keys that is trusted, with its root.
        given: checkpoints that were kept elsewhere, as signed notes.
        seen: the file in which it is remembered what was seen; None: the user's own.
        policy: what is asked for beyond soundness.
        reads: whether everything that records name is read and hashed; the records themselves always are.
    """

    root: str | None = None
    keys: bytes | None = None
    given: Sequence[str] = ()
    seen: Path | None = None
    policy: Policy = field(default_factory=Policy)
    reads: bool = True


def believed(trust: Trust) -> list[Check]:
    """Tell what is believed on nobody's word."""
    if trust.current is None or trust.pinned:
        return []
    told = f"the root key {trust.current.root[:16]} is believed, as none was named: compare it with what its owner says"
    return [Check.beside(_STEP, _NAME, told)]


def beliefs_in(found: Verification) -> tuple[str, ...]:
    """Return what was believed on nobody's word where a run was verified, in words."""
    return tuple(
        check.told
        for check in found.checks
        if (check.step, check.name, check.outcome) == (_STEP, _NAME, Outcome.NOT_APPLICABLE)
    )
