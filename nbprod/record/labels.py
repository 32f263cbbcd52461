"""What a run was called, and what it was for, as its caller said at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.digest import Json
from nbprod.record.ids import RunId

__all__ = ["Labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What was said of a run when it was started; what people say later are events beside the record.

    Args:
        name: a name for people.
        tags: words for people to find it by.
        note: a note for people.
        occasion: what the run is for: a text that the caller makes.
        retry_of: the run that it tries again.
        flow_run: the flow run that it belongs to.
        reproduces: the run that was executed again to see whether the same comes out.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    occasion: str | None = None
    retry_of: RunId | None = None
    flow_run: str | None = None
    reproduces: RunId | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the record's form: only what was said."""
        said: dict[str, Json] = {
            "name": self.name,
            "tags": list(self.tags),
            "note": self.note,
            "occasion": self.occasion,
            "retry_of": None if self.retry_of is None else str(self.retry_of),
            "flow_run": self.flow_run,
            "reproduces": None if self.reproduces is None else str(self.reproduces),
        }
        return {key: value for key, value in said.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Labels:
        """Read what `to_json` wrote."""
        return cls(
            name=data.get("name"),
            tags=tuple(data.get("tags", ())),
            note=data.get("note"),
            occasion=data.get("occasion"),
            retry_of=None if data.get("retry_of") is None else RunId(data["retry_of"]),
            flow_run=data.get("flow_run"),
            reproduces=None if data.get("reproduces") is None else RunId(data["reproduces"]),
        )
