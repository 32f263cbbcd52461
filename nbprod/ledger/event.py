"""What every event of the ledger has: a moment, and a run or a step that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nbprod.digest import Json
from nbprod.ledger.moment import as_utc
from nbprod.record.ids import RunId

__all__ = ["Event", "RunEvent", "StepEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, to a run or to a step.

    Args:
        at: when; aware, kept in UTC with microseconds.
        unknown: fields of the stored form that this version doesn't know.
    """

    at: datetime
    unknown: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the time in UTC."""
        object.__setattr__(self, "at", as_utc(self.at))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(Event):
    """Something that happened to a run."""

    run_id: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """Something that happened to a step, which is known by its name."""

    step: str
