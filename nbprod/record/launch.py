"""How a run's kernel came into being."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FORKED", "LEAN", "NBCLIENT", "STARTED", "Launch"]

STARTED, FORKED = "started", "forked"

LEAN, NBCLIENT = "lean", "nbclient"
"""Who executes the cells: our own driver, or nbclient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a kernel was launched.

    Args:
        how: `started`, as a process of its own; or `forked`, from a server that had libraries in memory.
        preloaded: modules that were in memory before the first cell; only of a forked kernel.
        why: why it was not forked although it was to be; empty else.
        driver: who executed the cells.
    """

    how: str = STARTED
    preloaded: tuple[str, ...] = ()
    why: str = ""
    driver: str = LEAN

    def to_json(self) -> dict[str, Any]:
        """Return the form that stands in journal and record."""
        told: dict[str, Any] = {"how": self.how}
        if self.how == FORKED:
            told["preloaded"] = list(self.preloaded)
        if self.why:
            told["why"] = self.why
        return told if self.driver == LEAN else {**told, "driver": self.driver}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Launch:
        """Read what `to_json` wrote."""
        return cls(
            how=str(data["how"]),
            preloaded=tuple(data.get("preloaded", ())),
            why=str(data.get("why", "")),
            driver=str(data.get("driver", LEAN)),
        )
