"""The executed notebook is what nbformat and papermill's own manager would have made of the same run."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import nbformat
import papermill
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4.nbjson import JSONWriter
from papermill.engines import NotebookExecutionManager
from papermill.execute import ERROR_ANCHOR_MSG, ERROR_MARKER_TAG, ERROR_STYLE

from nbprod.execution.assemble import Heading, assemble
from nbprod.execution.outputs import Collector, OutputLimits
from nbprod.execution.plan import Plan
from nbprod.notebook.layout import file_bytes
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellOutcome

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TEXT = st.text("ab\n\r\u2028é<&", max_size=12)
BUNDLE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["text/plain", "text/html", "image/svg+xml", "image/png", "application/javascript"], TEXT),
        **dict.fromkeys(["application/json", "application/x+json"], TEXT | st.lists(st.integers(), max_size=2)),
    },
)
MESSAGES = st.one_of(
    st.tuples(st.just("stream"), st.fixed_dictionaries({"name": st.sampled_from(["stdout", "stderr"]), "text": TEXT})),
    st.tuples(st.just("display_data"), st.fixed_dictionaries({"data": BUNDLE, "metadata": st.just({})})),
)
KINDS = st.lists(st.sampled_from(["code", "markdown", "raw"]), min_size=1, max_size=6)
HOW = st.sampled_from(list(CellStatus))


class Manager(NotebookExecutionManager):  # type: ignore[misc]
    """papermill's, told the time, and without its last lie."""

    def now(self) -> datetime:
        return getattr(self, "moment", START)

    def notebook_complete(self, **_: Any) -> None:
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()


def broken(how: CellOutcome) -> bool:
    return how.status in (CellStatus.FAILED, CellStatus.INTERRUPTED)


def by_papermill(plan: Plan, outcomes: Sequence[CellOutcome], collector: Collector, heading: Heading) -> Any:
    """Assemble as papermill does: its manager, its banner, nbformat's nodes."""
    nb = nbformat.from_dict(copy.deepcopy(dict(plan.node)))
    nb.metadata["papermill"] = nbformat.from_dict(
        {
            "default_parameters": dict(heading.defaults),
            "parameters": dict(heading.parameters),
            "environment_variables": {},
            "version": papermill.__version__,
            "input_path": heading.paths[0],
            "output_path": heading.paths[1],
        }
    )
    manager = Manager(nb, output_path=None, progress_bar=False, autosave_cell_every=0)
    manager.notebook_start()
    reached = -1
    for planned, how in zip(plan.cells, outcomes, strict=True):
        cell = nb.cells[planned.position]
        cell.outputs = nbformat.from_dict(copy.deepcopy(collector.outputs(planned.position)))
        cell.execution_count = how.execution_count
        if how.status in (CellStatus.NOT_RUN, CellStatus.SKIPPED) or how.started is None:
            continue
        reached = planned.position
        manager.moment = how.started
        manager.cell_start(cell, planned.position)
        if broken(how):
            manager.cell_exception(cell, planned.position)
        manager.moment = how.started + timedelta(seconds=how.seconds or 0.0)
        manager.cell_complete(cell, planned.position)
    everything = not any(how.status is CellStatus.NOT_RUN or broken(how) for how in outcomes)
    for position, cell in enumerate(nb.cells):
        if cell.cell_type != "code" and (everything or position < reached):
            cell.metadata.papermill["status"] = manager.COMPLETED
    manager.moment = heading.finished
    manager.notebook_complete()
    if heading.banner is not None:
        nb.metadata.papermill["exception"] = True
    return nb


@st.composite
def runs(draw: st.DrawFn) -> tuple[Plan, list[CellOutcome], Collector, Heading]:
    cells: list[Any] = []
    for number, kind in enumerate(draw(KINDS)):
        cell = {"id": f"c{number}", "cell_type": kind, "source": draw(TEXT), "metadata": {"tags": ["x"]}}
        if kind == "code":
            cell.update(outputs=[{"output_type": "stream", "name": "stdout", "text": "old"}], execution_count=7)
            cell["metadata"]["nbprod"] = {"cell": number}
        elif draw(st.booleans()):
            cell["attachments"] = {"a.txt": draw(BUNDLE)}
        cells.append(cell)
    node = {"cells": cells, "metadata": {"signature": "s", "own": 1}, "nbformat": 4, "nbformat_minor": 4}
    plan = Plan.of(node, {})
    collector, outcomes = Collector(OutputLimits()), []
    for planned in plan.cells:
        status = draw(HOW)
        ran = status not in (CellStatus.NOT_RUN, CellStatus.SKIPPED)
        seconds = draw(st.sampled_from([None, 0.25, 1e-7])) if ran else None
        started = START + timedelta(seconds=planned.position) if ran else None
        count = planned.position if ran else None
        outcomes.append(
            CellOutcome(cell=planned.cell, status=status, started=started, seconds=seconds, execution_count=count)
        )
        for kind, content in draw(st.lists(MESSAGES, max_size=3)) if ran else []:
            collector.add(planned.position, kind, content)
    heading = Heading(
        record="# record",
        banner="x < y\n& z" if any(map(broken, outcomes)) else None,
        started=START,
        finished=START + timedelta(seconds=9, microseconds=1),
        parameters={"a": 1},
        defaults={"b": [2]},
        paths=("in.ipynb", None),
        nbprod={"run": "r"},
    )
    return plan, outcomes, collector, heading


@given(runs())
def test_papermill_would_have_written_the_same(run: tuple[Plan, list[CellOutcome], Collector, Heading]) -> None:
    plan, outcomes, collector, heading = run
    before = copy.deepcopy(dict(plan.node))
    ours = assemble(plan, outcomes, collector, heading, {"name": "python"})
    theirs = by_papermill(plan, outcomes, collector, heading)
    assert plan.node == before, "the plan is not touched"
    assert ours["metadata"]["papermill"] == theirs.metadata.papermill
    cells = [cell for cell in ours["cells"] if not str(cell["id"]).startswith("nbprod-")]
    assert [cell["metadata"]["papermill"] for cell in cells] == [cell.metadata.papermill for cell in theirs.cells]
    bare = [{**cell, "metadata": None} for cell in cells]
    assert bare == [{**cell, "metadata": None} for cell in theirs.cells]


@given(runs())
def test_nbformat_would_have_written_the_same_bytes(run: tuple[Plan, list[CellOutcome], Collector, Heading]) -> None:
    nb = assemble(*run, None)
    written = JSONWriter().writes(nbformat.from_dict(copy.deepcopy(nb)), split_lines=True)
    assert file_bytes(nb).decode() == written + "\n"
    nbformat.validate(nbformat.reads(file_bytes(nb).decode(), as_version=4))


def test_the_banner_is_papermills() -> None:
    cell = {"id": "c", "cell_type": "code", "source": "1/0", "metadata": {}, "outputs": [], "execution_count": None}
    plan = Plan.of({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, {})
    outcome = CellOutcome(cell=0, status=CellStatus.FAILED, started=START, seconds=1.0, execution_count=1)
    heading = Heading(
        record="r",
        banner="no",
        started=START,
        finished=START,
        parameters={},
        defaults={},
        paths=(None, None),
        nbprod={},
    )
    _, banner, anchor, _ = assemble(plan, [outcome], Collector(OutputLimits()), heading, None)["cells"]
    assert anchor["source"] == ERROR_ANCHOR_MSG
    assert anchor["metadata"]["tags"] == banner["metadata"]["tags"] == [ERROR_MARKER_TAG]
    assert banner["source"].startswith(
        f"<span {ERROR_STYLE}>This run did not succeed at '<a href=\"#papermill-error-cell"
    )
