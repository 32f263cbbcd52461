"""How it is to be verified: what the verifier brings along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nbprod.errors import SignatureInvalid
from nbprod.verify.outcome import Check, Outcome, Verification
from nbprod.verify.policy import Policy
from nbprod.verify.seen import Seen
from nbprod.verify.trust import Trust

__all__ = ["Asked", "beliefs_in", "believed", "rooted"]

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


def rooted(told: Trust, *, named: str | None, seen: Seen | None) -> tuple[Trust, list[Check]]:
    """Return whose signatures count by the root key that is known, and what is to say of that.

    A key that was named and leads to no list makes nothing altered: the log may be somebody else's, or the id mistyped.

    Args:
        told: whose signatures count by what the log says.
        named: the id of the root key that the verifier named, or that of the list that he gave.
        seen: what is remembered of this log.

    Raises:
        SignatureInvalid: the log is not the one that was seen: it had another root key.
    """
    if named is not None and named in told.roots:
        return told.rooted(named), []
    if seen is not None and not seen.is_of(told.roots):
        raise SignatureInvalid(
            "this log was seen before, under another root key",
            expected=seen.root,
            found=told.roots[-1] if told.roots else "no list of keys",
            hint="What came first may be the forged one: ask the owner for the root key's id, and name it: --root ID",
        )
    if named is None and seen is not None:
        return replace(told, pinned=True), []
    if named is None:
        return told, believed(told)
    under = f"it is signed under the root key {told.roots[-1]}" if told.roots else "this log has no list of keys"
    none = "which leads to none of its lists of keys: nothing that you trust vouches for it"
    return replace(told, unvouched=True), [Check.open(_STEP, _NAME, f"{under}, and you named {named}, {none}")]


def believed(trust: Trust) -> list[Check]:
    """Tell what is believed on nobody's word."""
    if trust.current is None or trust.pinned:
        return []
    told = f"the root key {trust.current.root} is believed, as none was named: compare it with what its owner says"
    return [Check.beside(_STEP, _NAME, told)]


def beliefs_in(found: Verification) -> tuple[str, ...]:
    """Return what was believed on nobody's word where a run was verified, in words."""
    return tuple(
        check.told
        for check in found.checks
        if (check.step, check.name, check.outcome) == (_STEP, _NAME, Outcome.NOT_APPLICABLE)
    )
