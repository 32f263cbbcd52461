"""Where in Prefect a run came from: kept in the ledger with its start, so that Prefect can be told of it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self
from uuid import UUID

from nbprod.digest import Json
from nbprod.ledger import Ledger
from nbprod.ledger.events import RunStarted
from nbprod.record.ids import RunId
from nbprod.runner.processes import Process

__all__ = ["Caller", "caller_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A task run that ran a notebook.

    Args:
        task_run: its id.
        task_key: with `dynamic_key`, what a task run is known by in its flow run.
        dynamic_key: see `task_key`.
        name: its name.
        process: that of its flow run, which need not be the notebook's runner; None where it is not known.
    """

    task_run: UUID
    task_key: str
    dynamic_key: str
    name: str
    process: Process | None

    def to_json(self) -> dict[str, Json]:
        """Return the ledger's form (`RunStarted.caller`)."""
        process = {} if self.process is None else {"process": asdict(self.process)}
        keys = {"task_key": self.task_key, "dynamic_key": self.dynamic_key, "name": self.name}
        return {"task_run": str(self.task_run), **keys, **process}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self | None:
        """Read what `to_json` wrote; None if it is something else."""
        try:
            process = data.get("process")
            return cls(
                task_run=UUID(data["task_run"]),
                task_key=data["task_key"],
                dynamic_key=data["dynamic_key"],
                name=data["name"],
                process=None if process is None else Process(**process),
            )
        except (KeyError, TypeError, ValueError):
            return None


def caller_of(ledger: Ledger, run_id: RunId) -> Caller | None:
    """Return where in Prefect a run came from; None if that is not known.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    for stored in ledger.events(run_id):
        if isinstance(stored.event, RunStarted):
            return Caller.from_json(stored.event.caller)
    return None
