"""What nbprod concluded about a run: a value with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nbprod.record.status import CellStatus, Status
from nbprod.step.contract import Requirement

__all__ = ["CellError", "CellOutcome", "Verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellError:
    """The exception that a cell raised: its class name and its message."""

    name: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOutcome:
    """How one code cell ended.

    Args:
        cell: index in the source notebook; None for the cell with the injected parameters.
        status: how it ended.
        execution_count: the kernel's number, None if it gave none.
        started: aware, UTC; None if it did not start.
        seconds: from request to idle, monotonic; None if it did not start.
        output_bytes: what it put out, cut or not.
        truncated: whether output was cut.
        error: the exception that it raised, if it did; an `ok` cell may have one (tag `raises-exception`).
    """

    cell: int | None
    status: CellStatus
    execution_count: int | None = None
    started: datetime | None = None
    seconds: float | None = None
    output_bytes: int = 0
    truncated: bool = False
    error: CellError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record's form; seconds with six decimals at most."""
        return {
            "cell": self.cell,
            "status": str(self.status),
            "execution_count": self.execution_count,
            "started": None if self.started is None else self.started.isoformat(),
            "seconds": None if self.seconds is None else round(self.seconds, 6),
            "output_bytes": self.output_bytes,
            "truncated": self.truncated,
            "error": None if self.error is None else {"name": self.error.name, "message": self.error.message},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CellOutcome:
        """Read what `to_json` wrote."""
        error = data.get("error")
        started = data.get("started")
        seconds = data.get("seconds")
        return cls(
            cell=data["cell"],
            status=CellStatus(data["status"]),
            execution_count=data.get("execution_count"),
            started=None if started is None else datetime.fromisoformat(started),
            seconds=None if seconds is None else float(seconds),
            output_bytes=data.get("output_bytes", 0),
            truncated=data.get("truncated", False),
            error=None if error is None else CellError(name=error["name"], message=error["message"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The conclusion about a run. True in a condition only if its results may be used."""

    status: Status
    reason: str
    cells: tuple[CellOutcome, ...] = ()
    contract: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        """Return whether the run is good."""
        return self.status.good

    def to_json(self) -> dict[str, Any]:
        """Return the record's form."""
        return {
            "status": str(self.status),
            "reason": self.reason,
            "cells": [outcome.to_json() for outcome in self.cells],
            "contract": [{"requirement": line.text, "met": line.met, "found": line.found} for line in self.contract],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what `to_json` wrote."""
        return cls(
            status=Status(data["status"]),
            reason=data["reason"],
            cells=tuple(CellOutcome.from_json(cell) for cell in data["cells"]),
            contract=tuple(
                Requirement(text=line["requirement"], met=line["met"], found=line["found"]) for line in data["contract"]
            ),
        )
