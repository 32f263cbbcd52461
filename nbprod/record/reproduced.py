"""What came of executing a run again: an in-toto Statement v1 about the two records, kept and signed like them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nbprod.digest import Digest, Json
from nbprod.errors import CallerError, IntegrityError
from nbprod.record.compare import Difference
from nbprod.record.ids import RunId
from nbprod.record.statement import predicate_of, statement

__all__ = ["LEVELS", "LEVEL_ABOUT", "REPRODUCTION_TYPE", "Reproduced", "level_text"]

REPRODUCTION_TYPE = "https://nbprod.dev/attestation/reproduction/v1"

_VERIFIED = "verified"
"""The word for a run that nothing speaks against (`nbprod.verify.Conclusion`)."""
_NAMED = 3
"""Missing things that are named one by one."""

LEVELS: Mapping[int, str] = {
    0: "it runs, and ends as the first run did",
    1: "its scraps are the same, within the tolerance",
    2: "its outputs are the same as well, after what is volatile was taken out",
    3: "its artifacts are the same as well, byte for byte or after a named normaliser",
}

LEVEL_ABOUT: Mapping[int, tuple[str, ...]] = {
    0: (),
    1: ("scraps",),
    2: ("scraps", "cells"),
    3: ("scraps", "cells", "artifacts"),
}
"""What a level speaks of, by the names of `Reproduced.comparison`."""


def level_text(level: int | None) -> str:
    """Return a level in plain words."""
    return "no level: it does not end as the first run did" if level is None else f"L{level}: {LEVELS[level]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """A run was executed again, and compared.

    Args:
        first: the run as it was.
        first_record: the digest of its record.
        second: the run that executed it again.
        second_record: the digest of its record.
        level: how much came out the same (`LEVELS`); None: not even the ending did.
        ending: how the endings compare, in words, where one of them was bad; empty where both were good.
        normalisers: names of the rules without which it would not have come so far.
        verified: what verifying the first run came to.
        environment: in what the environment differs from the first run's.
        place: the folder in which it was executed, in the place of the project's root.
        rebuilt: whether the environment was made anew from the record.
        machine: in what the machine differs.
        missing: what the first run read and was not to be had.
        notes: what else a reader should know.
        comparison: how each cell, scrap and artifact compares, without what they hold: that can be erased, and a
            statement cannot.
        at: when; aware, UTC.
        by: who did.
        host: where.
    """

    first: RunId
    first_record: Digest
    second: RunId
    second_record: Digest
    level: int | None
    normalisers: tuple[str, ...]
    verified: str
    environment: tuple[Difference, ...]
    place: str
    rebuilt: bool
    machine: tuple[Difference, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    comparison: Mapping[str, Json]
    at: datetime
    by: str
    host: str
    ending: str = ""

    @property
    def told(self) -> str:
        """How much came out the same in plain words: a bad ending before all else, and what there was nothing of."""
        if self.level is None:
            return f"{level_text(None)}{f': {self.ending}' if self.ending else ''}"
        about = LEVEL_ABOUT[self.level]
        none = [name for name in about if not self.comparison.get(name)]
        if not none and not self.ending:
            return level_text(self.level)
        same = ["outputs" if name == "cells" else name for name in about if name not in none]
        parts = [self.ending or "it ends as the first run did"]
        parts += [f"its {_listed(same)} are the same"] if same else []
        parts += [f"there were no {_listed(none)} to compare"] if none else []
        return f"L{self.level}: {'; '.join(parts)}"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What keeps the level from saying much, in words: a first run that was not verified, and what it lacked."""
        doubts = (
            [] if self.verified == _VERIFIED else [f"the first run was {self.verified.upper()} when it was verified"]
        )
        named, more = self.missing[:_NAMED], len(self.missing) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        doubts += [f"what the first run read was not to be had: {', '.join(named)}{rest}"] if named else []
        return tuple(doubts)

    def to_json(self) -> dict[str, Any]:
        """Return the predicate."""
        return {
            "first": {"run": str(self.first), "record": str(self.first_record)},
            "second": {"run": str(self.second), "record": str(self.second_record)},
            "level": self.level,
            "ending": self.ending,
            "normalisers": list(self.normalisers),
            "verified": self.verified,
            "environment": [each.to_json() for each in self.environment],
            "place": self.place,
            "rebuilt": self.rebuilt,
            "machine": [each.to_json() for each in self.machine],
            "missing": list(self.missing),
            "notes": list(self.notes),
            "comparison": dict(self.comparison),
            "at": self.at.isoformat(),
            "by": self.by,
            "host": self.host,
        }

    def to_bytes(self) -> bytes:
        """Return the bytes that are kept: RFC 8785."""
        subjects = [(f"run {self.first}", self.first_record), (f"run {self.second}", self.second_record)]
        return statement(REPRODUCTION_TYPE, subjects, self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Reproduced:
        """Read what `to_bytes` wrote.

        Raises:
            UnsupportedVersion: a newer nbprod wrote it.
            IntegrityError: it is no such statement.
        """
        try:
            told = predicate_of(data, REPRODUCTION_TYPE, newer="this reproduction was stated by a newer nbprod")
            lists: dict[str, Any] = {name: tuple(map(str, told[name])) for name in ("normalisers", "missing", "notes")}
            compared: dict[str, Any] = {
                name: tuple(Difference(**each) for each in told[name]) for name in ("environment", "machine")
            }
            return cls(
                first=RunId(told["first"]["run"]),
                first_record=Digest.parse(told["first"]["record"]),
                second=RunId(told["second"]["run"]),
                second_record=Digest.parse(told["second"]["record"]),
                level=None if told["level"] is None else _level(told["level"]),
                verified=str(told["verified"]),
                place=str(told["place"]),
                rebuilt=bool(told["rebuilt"]),
                comparison=dict(told["comparison"]),
                at=datetime.fromisoformat(told["at"]),
                by=str(told["by"]),
                host=str(told["host"]),
                ending=str(told.get("ending", "")),
                **lists,
                **compared,
            )
        except (ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
            raise IntegrityError("this states no reproduction", found=f"{type(error).__name__}: {error}") from error


def _level(told: object) -> int:
    if not isinstance(told, int) or isinstance(told, bool) or told not in LEVELS:
        raise ValueError(f"there is no level {told!r}")
    return told


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
