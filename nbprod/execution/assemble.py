"""The executed notebook, assembled once from what was planned and what happened.

papermill's metadata is written as papermill 2.7 writes it (`papermill.engines.NotebookExecutionManager`, and the banner
cells of `papermill.execute`), but for what makes it lie: cells that never ran stay `pending`, and what is not ok is
`failed` (law 1). It is written here and not by papermill because importing that takes longer than the rest of a run; a
test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import metadata
from typing import Any

from nbprod.execution.outputs import Collector
from nbprod.execution.plan import Plan
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellOutcome

__all__ = ["RECORD_TAG", "Heading", "assemble"]

RECORD_TAG = "nbprod-record"

_PENDING, _COMPLETED, _FAILED = "pending", "completed", "failed"
_MARKER = "papermill-error-cell-tag"
_STYLE = 'style="color:red; font-family:Helvetica Neue, Helvetica, Arial, sans-serif; font-size:2em;"'
_ANCHOR = (
    f'<span id="papermill-error-cell" {_STYLE}>'
    "Execution using papermill encountered an exception here and stopped:"
    "</span>"
)

Node = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What stands above an executed notebook.

    Args:
        record: the record cell's markdown.
        banner: what went wrong, in one line of plain text; None where nothing did.
        started: aware, UTC.
        finished: aware, UTC.
        parameters: what papermill's metadata says was given, as plain JSON.
        defaults: what it says the defaults are, as plain JSON.
        paths: input and output path for papermill's metadata.
        nbprod: the notebook's `metadata.nbprod`.
    """

    record: str
    banner: str | None
    started: datetime
    finished: datetime
    parameters: Mapping[str, Any]
    defaults: Mapping[str, Any]
    paths: tuple[str | None, str | None]
    nbprod: Mapping[str, Any]


def assemble(
    plan: Plan,
    outcomes: Sequence[CellOutcome],
    collector: Collector,
    heading: Heading,
    language_info: Mapping[str, Any] | None,
) -> Node:
    """Return the executed notebook (nbformat 4), sharing what is unchanged with the plan and the collector.

    Args:
        plan: the prepared notebook and its code cells.
        outcomes: one for each code cell of the plan, in order.
        collector: what the cells put out.
        heading: what stands above it.
        language_info: what the kernel said of its language.
    """
    about: Node = dict(plan.node.get("metadata", {}))
    about["papermill"] = {
        "default_parameters": dict(heading.defaults),
        "parameters": dict(heading.parameters),
        "environment_variables": {},
        "version": _papermill_version(),
        "input_path": heading.paths[0],
        "output_path": heading.paths[1],
        "start_time": heading.started.isoformat(),
        "end_time": heading.finished.isoformat(),
        "duration": (heading.finished - heading.started).total_seconds(),
        "exception": True if heading.banner is not None or any(map(_broken, outcomes)) else None,
    }
    about["nbprod"] = dict(heading.nbprod)
    if language_info:
        about["language_info"] = dict(language_info)
    if (widgets := collector.widget_metadata()) is not None:
        about["widgets"] = widgets
    cells = _cells(plan, outcomes, collector)
    if heading.banner is not None:
        failed = next((cell.position for cell, how in zip(plan.cells, outcomes, strict=True) if _broken(how)), None)
        _add_banner(cells, failed, heading.banner)
    cells.insert(0, _markdown("nbprod-record", heading.record, RECORD_TAG))
    minor = max(plan.node.get("nbformat_minor", 0), 5)
    return {**plan.node, "metadata": about, "cells": cells, "nbformat_minor": minor}


@cache
def _papermill_version() -> str:
    return metadata.version("papermill")


def _broken(outcome: CellOutcome) -> bool:
    return outcome.status in (CellStatus.FAILED, CellStatus.INTERRUPTED)


def _cells(plan: Plan, outcomes: Sequence[CellOutcome], collector: Collector) -> list[Node]:
    by_position = {cell.position: how for cell, how in zip(plan.cells, outcomes, strict=True)}
    began = [position for position, how in by_position.items() if _began(how)]
    reached = max(began, default=-1)
    everything = not any(how.status is CellStatus.NOT_RUN or _broken(how) for how in outcomes)
    cells = []
    for position, source in enumerate(plan.node["cells"]):
        about, told = dict(source["metadata"]), _untold()
        cell = {**source, "metadata": about}
        how = by_position.get(position)
        if how is not None:
            cell["outputs"] = collector.outputs(position)
            cell["execution_count"] = how.execution_count
            about["nbprod"] = {**about.get("nbprod", {}), **_described(how)}
            if _began(how):
                told = _times(how)
        elif source["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        elif everything or position < reached:
            told["status"] = _COMPLETED
        about["papermill"] = told
        cells.append(cell)
    return cells


def _began(how: CellOutcome) -> bool:
    return how.started is not None and how.status not in (CellStatus.NOT_RUN, CellStatus.SKIPPED)


def _untold() -> Node:
    return {"exception": None, "start_time": None, "end_time": None, "duration": None, "status": _PENDING}


def _described(how: CellOutcome) -> Node:
    told = {"status": str(how.status), "seconds": how.seconds, "output_bytes": how.output_bytes}
    return {**told, "truncated": True} if how.truncated else told


def _times(how: CellOutcome) -> Node:
    assert how.started is not None  # noqa: S101 - asked before
    end = how.started + timedelta(seconds=how.seconds or 0.0)
    return {
        "exception": _broken(how),
        "start_time": how.started.isoformat(),
        "end_time": end.isoformat(),
        "duration": (end - how.started).total_seconds(),
        "status": _FAILED if _broken(how) else _COMPLETED,
    }


def _markdown(cell_id: str, text: str, tag: str) -> Node:
    return {"id": cell_id, "cell_type": "markdown", "source": text, "metadata": {"tags": [tag]}}


def _add_banner(cells: list[Node], failed: int | None, text: str) -> None:
    """Add the cells that papermill adds for exceptions: one on top, one before the cell that is to blame."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    link = ""
    if failed is not None:
        count = cells[failed].get("execution_count") or " "
        link = f" at '<a href=\"#papermill-error-cell\">In [{count}]</a>'"
        cells.insert(failed, _markdown("nbprod-error-anchor", _ANCHOR, _MARKER))
    banner = f"<span {_STYLE}>This run did not succeed{link}: {safe}</span>"
    cells.insert(0, _markdown("nbprod-error-banner", banner, _MARKER))
