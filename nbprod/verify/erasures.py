"""Whether tombstones are signed, and by whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbprod.attest.keyfile import Role
from nbprod.ledger.events import BytesErased
from nbprod.ledger.ledger import StoredEvent
from nbprod.verify.outcome import Check
from nbprod.verify.said import KEY, Court

__all__ = ["ERASERS", "judge_tombstones"]

ERASERS = (Role.PROMOTER, Role.REVIEWER, Role.RUNNER)
"""Whose keys may sign a tombstone: a person's, or that of the machine that follows the rules of the settings."""

_NAME = "erasure"


def judge_tombstones(stones: Sequence[StoredEvent], court: Court) -> Iterator[Check]:
    """Judge the signatures of tombstones, whose statements were compared with the ledger before.

    Args:
        stones: the events about them.
        court: judges signatures.
    """
    for stored in stones:
        event = stored.event
        assert isinstance(event, BytesErased)  # noqa: S101 - chosen so
        told = f"{event.by} erased {len(event.objects)} objects on {event.at:%Y-%m-%d %H:%M} UTC"
        if event.attestation is None:
            yield Check.beside(KEY, _NAME, f"{told}, which nobody signed")
        else:
            yield court.judge(
                _NAME, told, stored, attestation=event.attestation, statement=event.statement, roles=ERASERS
            ).check
