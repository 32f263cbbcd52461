"""How a run's kernel came into being."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Launch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a kernel was launched.

    Args:
        how: `started`, as a process of its own; or `forked`, from a server that had libraries in memory.
        preloaded: modules that were in memory before the first cell; only of a forked kernel.
        why: why it was not forked although it was to be; empty else.
    """

    how: str = "started"
    preloaded: tuple[str, ...] = ()
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the form that stands in journal and record."""
        told: dict[str, Any] = {"how": self.how}
        if self.how == "forked":
            told["preloaded"] = list(self.preloaded)
        return {**told, "why": self.why} if self.why else told

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Launch:
        """Read what `to_json` wrote."""
        return cls(how=str(data["how"]), preloaded=tuple(data.get("preloaded", ())), why=str(data.get("why", "")))
