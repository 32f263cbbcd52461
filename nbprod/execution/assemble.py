"""The executed notebook, assembled once from what was planned and what happened.

papermill's own execution manager writes papermill's metadata; ours only takes away what makes it lie: cells that never
ran stay `pending`, and what is not ok is `failed` (law 1).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import nbformat
from nbformat.v4.rwbase import split_lines, strip_transient
from papermill import __version__ as papermill_version
from papermill.engines import NotebookExecutionManager
from papermill.execute import ERROR_ANCHOR_MSG, ERROR_MARKER_TAG, ERROR_STYLE

from nbprod.execution.outputs import Collector
from nbprod.execution.plan import Plan
from nbprod.notebook.layout import laid_out
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellOutcome

__all__ = ["RECORD_TAG", "Heading", "TruthfulManager", "assemble", "progress_of", "to_bytes"]

RECORD_TAG = "nbprod-record"


class TruthfulManager(NotebookExecutionManager):  # type: ignore[misc]
    """papermill's execution manager, without its file writes and without "pending becomes completed"."""

    def __init__(self, nb: Any, *, progress_bar: bool | dict[str, Any] = False) -> None:
        self.moment: datetime | None = None
        super().__init__(nb, output_path=None, progress_bar=progress_bar, autosave_cell_every=0)

    def now(self) -> datetime:
        """Return the moment that is being written down, else the present one (UTC)."""
        return self.moment or datetime.now(UTC)

    def save(self, **_: Any) -> None:
        """Write nothing: the notebook is written once, when all is known."""

    def notebook_complete(self, **_: Any) -> None:
        """Write end and duration, and leave the cells' states as they are."""
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        self.cleanup_pbar()


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
) -> dict[str, Any]:
    """Return the executed notebook (nbformat 4).

    Args:
        plan: the prepared notebook and its code cells.
        outcomes: one for each code cell of the plan, in order.
        collector: what the cells put out.
        heading: what stands above it.
        language_info: what the kernel said of its language.
    """
    nb = nbformat.from_dict(copy.deepcopy(dict(plan.node)))
    nb.metadata["papermill"] = {
        "default_parameters": dict(heading.defaults),
        "parameters": dict(heading.parameters),
        "environment_variables": {},
        "version": papermill_version,
        "input_path": heading.paths[0],
        "output_path": heading.paths[1],
    }
    nb.metadata["papermill"] = nbformat.from_dict(nb.metadata["papermill"])
    nb.metadata["nbprod"] = nbformat.from_dict(dict(heading.nbprod))
    if language_info:
        nb.metadata["language_info"] = nbformat.from_dict(dict(language_info))
    if (widgets := collector.widget_metadata()) is not None:
        nb.metadata["widgets"] = nbformat.from_dict(widgets)
    _write_cells(nb, plan, outcomes, collector, heading)
    failed = next((cell.position for cell, how in zip(plan.cells, outcomes, strict=True) if _broken(how)), None)
    if heading.banner is not None:
        nb.metadata.papermill["exception"] = True
        _add_banner(nb, failed, heading.banner)
    cell = nbformat.v4.new_markdown_cell(heading.record, id="nbprod-record", metadata={"tags": [RECORD_TAG]})
    nb.cells.insert(0, cell)
    nb.nbformat_minor = max(nb.nbformat_minor, 5)
    return nb  # type: ignore[no-any-return]


def to_bytes(nb: Any) -> bytes:
    """Return the notebook file's bytes, laid out as Jupyter lays them out."""
    # What nbformat's own writer does, but for the encoding.
    plain = strip_transient(split_lines(copy.deepcopy(nb)))
    return (laid_out(plain) + "\n").encode("utf-8", "backslashreplace")  # a lone surrogate becomes its JSON escape


def _broken(outcome: CellOutcome) -> bool:
    return outcome.status in (CellStatus.FAILED, CellStatus.INTERRUPTED)


def _write_cells(nb: Any, plan: Plan, outcomes: Sequence[CellOutcome], collector: Collector, heading: Heading) -> None:
    manager = TruthfulManager(nb)
    manager.moment = heading.started
    manager.notebook_start()
    reached = -1
    for planned, outcome in zip(plan.cells, outcomes, strict=True):
        cell = nb.cells[planned.position]
        cell.outputs = nbformat.from_dict(collector.outputs(planned.position))
        cell.execution_count = outcome.execution_count
        described = {"status": str(outcome.status), "seconds": outcome.seconds, "output_bytes": outcome.output_bytes}
        if outcome.truncated:
            described["truncated"] = True
        cell.metadata.setdefault("nbprod", nbformat.NotebookNode()).update(described)
        if outcome.status in (CellStatus.NOT_RUN, CellStatus.SKIPPED) or outcome.started is None:
            continue
        reached = planned.position
        manager.moment = outcome.started
        manager.cell_start(cell, planned.position)
        if _broken(outcome):
            manager.cell_exception(cell, planned.position)
        manager.moment = outcome.started + timedelta(seconds=outcome.seconds or 0.0)
        manager.cell_complete(cell, planned.position)
    everything = not any(outcome.status is CellStatus.NOT_RUN or _broken(outcome) for outcome in outcomes)
    for position, cell in enumerate(nb.cells):
        if cell.cell_type != "code" and (everything or position < reached):
            cell.metadata.papermill["status"] = manager.COMPLETED
    manager.moment = heading.finished
    manager.notebook_complete()


def _add_banner(nb: Any, failed: int | None, text: str) -> None:
    """Add the cells that papermill adds for exceptions: one on top, one before the cell that is to blame."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    link = ""
    if failed is not None:
        count = nb.cells[failed].get("execution_count") or " "
        link = f" at '<a href=\"#papermill-error-cell\">In [{count}]</a>'"
        anchor = nbformat.v4.new_markdown_cell(ERROR_ANCHOR_MSG, id="nbprod-error-anchor")
        anchor.metadata["tags"] = [ERROR_MARKER_TAG]
        nb.cells.insert(failed, anchor)
    banner = nbformat.v4.new_markdown_cell(
        f"<span {ERROR_STYLE}>This run did not succeed{link}: {safe}</span>", id="nbprod-error-banner"
    )
    banner.metadata["tags"] = [ERROR_MARKER_TAG]
    nb.cells.insert(0, banner)


def progress_of(nb: Any, progress_bar: Any) -> TruthfulManager:
    """Return a manager that shows papermill's progress bar for a notebook, and does nothing else."""
    return TruthfulManager(nb, progress_bar=progress_bar)
