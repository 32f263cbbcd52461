"""How people name a run: by an id or a part of one, by its name, or as the latest."""

from __future__ import annotations

import re
from typing import Protocol

from nbprod.errors import NotFound
from nbprod.ledger.errors import AmbiguousRun
from nbprod.record.ids import RunId

__all__ = ["CANDIDATES", "Directory", "resolve"]

CANDIDATES = 10
"""How many runs an ambiguous reference is shown to fit."""

_LATEST = "@latest"
_PART = re.compile(r"[0-9a-f-]{4,36}")


class Directory(Protocol):
    """What a ledger must be able to look up; each answer holds at most CANDIDATES runs, the latest first."""

    def latest(self, step: str | None) -> RunId | None:
        """Return the run that was started last, of a step or of all."""
        ...

    def named(self, name: str) -> tuple[RunId, ...]:
        """Return runs with this name."""
        ...

    def partly(self, part: str) -> tuple[RunId, ...]:
        """Return runs whose id begins or ends so."""
        ...


def resolve(text: str, directory: Directory) -> RunId:
    """Return the run that the text means (see `Ledger.find`).

    Raises:
        NotFound: no run fits.
        AmbiguousRun: several do.
    """
    text = text.strip()
    if text.endswith(_LATEST):
        step = text.removesuffix(_LATEST) or None
        found = directory.latest(step)
        if found is None:
            raise NotFound(f"step {step!r} has no run" if step else "there is no run yet")
        return found
    candidates = directory.named(text) if text else ()
    part = text.lower()
    if not candidates and _PART.fullmatch(part):
        candidates = directory.partly(part)
    if not candidates:
        raise NotFound(
            f"no run fits {text!r}",
            expected="an id, 4 or more characters of its beginning or end, a run's name, @latest or STEP@latest",
            hint="`nbprod runs` lists the runs of this project",
        )
    if len(candidates) > 1:
        raise AmbiguousRun(text, candidates)
    return candidates[0]
