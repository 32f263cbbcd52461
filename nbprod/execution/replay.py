"""A run's outcomes and outputs, read back from its journal after a crash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from nbprod.execution.outputs import Collector
from nbprod.execution.plan import Plan, PlannedCell
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellOutcome

__all__ = ["replay"]


def replay(
    events: Iterable[Mapping[str, Any]], plan: Plan, collector: Collector
) -> tuple[tuple[CellOutcome, ...], dict[str, Any] | None]:
    """Feed a journal into a collector.

    Args:
        events: in order.
        plan: what the run was to execute.
        collector: takes the outputs.

    Returns:
        An outcome for each code cell, `interrupted` for one that was under way; and the kernel's language_info.
    """
    finished: dict[int, CellOutcome] = {}
    started: dict[int, datetime] = {}
    last: dict[int, datetime] = {}
    language_info: dict[str, Any] | None = None
    for event in events:
        position = event.get("p", -1)
        moment = datetime.fromisoformat(event["at"])
        if event["e"] == "message":
            content = event["content"]
            collector.count(position, len(str(content)))
            collector.add(position, event["kind"], content)
            last[position] = moment
        elif event["e"] == "dropped":
            collector.restore_drops(position, event["drops"])
            last[position] = moment
        elif event["e"] == "cell_started":
            started[position] = last[position] = moment
        elif event["e"] == "cell_finished":
            finished[position] = CellOutcome.from_json(event["outcome"])
        elif event["e"] == "kernel_ready":
            language_info = event.get("language_info")
    times = {position: (begun, last[position]) for position, begun in started.items()}
    outcomes = tuple(
        finished.get(cell.position) or _unfinished(cell, times, finished, collector) for cell in plan.cells
    )
    return outcomes, language_info


def _unfinished(
    cell: PlannedCell,
    times: Mapping[int, tuple[datetime, datetime]],
    finished: Mapping[int, CellOutcome],
    collector: Collector,
) -> CellOutcome:
    """Return the outcome of a cell whose end the journal does not hold."""
    if cell.position not in times:
        skipped = cell.skip and cell.position < max(finished, default=-1)
        return CellOutcome(cell=cell.cell, status=CellStatus.SKIPPED if skipped else CellStatus.NOT_RUN)
    for kind, content in collector.cut_marker(cell.position):
        collector.add(cell.position, kind, content)
    begun, last = times[cell.position]
    return CellOutcome(
        cell=cell.cell,
        status=CellStatus.INTERRUPTED,
        started=begun,
        seconds=(last - begun).total_seconds(),
        output_bytes=collector.size(cell.position),
        truncated=collector.truncated(cell.position),
    )
