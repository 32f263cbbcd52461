"""That a secret stood in what a run put out, and where; never the secret itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Masked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A secret that was found and masked.

    Args:
        secret: its name.
        cells: in whose output, by their index in the source notebook; None is the cell of injected parameters.
        elsewhere: in the verdict's reason, a note or an artifact's name, or in an artifact that was not kept for it.
    """

    secret: str
    cells: tuple[int | None, ...] = ()
    elsewhere: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the record's form."""
        return {"secret": self.secret, "cells": list(self.cells), "elsewhere": self.elsewhere}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Masked:
        """Read what `to_json` wrote."""
        return cls(secret=data["secret"], cells=tuple(data["cells"]), elsewhere=data["elsewhere"])

    def __str__(self) -> str:
        """Return it in words: `output held the secret DB_PASSWORD, masked in cells 3 and 5`."""
        if not self.cells:
            return f"the secret {self.secret} was held by a file or its name, or by the run's last words, and masked"
        names = ["params" if cell is None else str(cell) for cell in self.cells]
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        return f"output held the secret {self.secret}, masked in cell{'s' * (len(names) > 1)} {listed}"
