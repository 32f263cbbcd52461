"""Scraps, tolerances, pairs of cells, levels: what values compare to."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.diff import Level, Margin, Outcome, Section, Tolerance, reached
from nbprod.diff import pairs as pairs_module
from nbprod.diff.artifacts import ArtifactComparison
from nbprod.diff.cells import CellComparison, ExecutedCell, compare_cells
from nbprod.diff.comparison import Comparison, VerdictComparison
from nbprod.diff.lines import changed_lines
from nbprod.diff.outputs import OutputChange
from nbprod.diff.pairs import Pair, pairs_of
from nbprod.diff.scraps import ScrapComparison, compare_scraps
from nbprod.diff.side import Own, Side
from nbprod.diff.source import compare_sources
from nbprod.diff.trees import changes
from nbprod.errors import CallerError
from nbprod.notebook import Notebook
from nbprod.scraps import Scrap
from nbprod.scraps.tags import storable
from tests.notebooks import notebook_of
from tests.records import RUN, a_record

NUMBERS = st.floats() | st.integers(-(10**20), 10**20)


def side(**values: Any) -> Side:
    scraps = [Scrap(name=name, encoder="json", cell=1, data=storable(value)).entry() for name, value in values.items()]
    return Side(record=a_record(scraps=tuple(scraps)), read=lambda digest: b"")


def scrap(before: Any, after: Any, *margins: str) -> ScrapComparison:
    return compare_scraps(side(x=before), side(x=after), Tolerance.parse(margins))[0]


@pytest.mark.parametrize(
    ("before", "after", "margins", "outcome"),
    [
        (0.5, 0.5, (), Outcome.EQUAL),
        (0.5, 0.5 + 1e-12, (), Outcome.NORMALISED),
        (0.5, 0.5001, (), Outcome.DIFFERENT),
        (0.5, 0.5001, ("0.001",), Outcome.NORMALISED),
        (0.5, 0.5001, ("y=1",), Outcome.DIFFERENT),
        (100.0, 100.9, ("1%",), Outcome.NORMALISED),
        (100.0, 101.5, ("rel:0.01",), Outcome.DIFFERENT),
        (100, 101, ("1%",), Outcome.DIFFERENT),
        (100, 101, ("x=1%",), Outcome.NORMALISED),
        (1, 1.0, ("x=any",), Outcome.DIFFERENT),
        (1.0, 1e300, ("x=any",), Outcome.NORMALISED),
        (1.0, math.nan, ("x=any",), Outcome.DIFFERENT),
        (math.nan, math.nan, (), Outcome.EQUAL),
        (math.inf, -math.inf, (), Outcome.DIFFERENT),
        (2**60, 2**60 + 1, (), Outcome.DIFFERENT),
        (1, True, ("x=1",), Outcome.DIFFERENT),
        ("a", "b", ("x=1",), Outcome.DIFFERENT),
        (None, 0, (), Outcome.DIFFERENT),
        ([1.0, 2.0], [1.0, 2.0 + 1e-12], (), Outcome.NORMALISED),
        ([1.0, 2.0], [1.0], (), Outcome.DIFFERENT),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, ("x=9",), Outcome.DIFFERENT),
    ],
)
def test_scraps_are_held_to_their_margins(before, after, margins, outcome):
    assert scrap(before, after, *margins).outcome is outcome
    assert scrap(after, before, *margins).outcome is outcome


def test_numbers_are_told_with_their_change():
    found = scrap(0.8, 0.9)
    assert (found.before, found.after) == ("0.8", "0.9")
    assert found.change == pytest.approx(0.1)
    assert found.ratio == pytest.approx(0.125)
    assert scrap(0, 5).ratio is None
    assert scrap(math.inf, 5.0).change is None
    assert scrap({"a": [1, 2]}, {"a": [1, 3]}).told == ("a[1]: 2 → 3",)
    assert scrap(0.5, 0.5001, "x=0.01").margin == "±0.01"
    assert [each.outcome for each in compare_scraps(side(a=1), side(b=1), Tolerance())] == [
        Outcome.ONLY_BEFORE,
        Outcome.ONLY_AFTER,
    ]


def test_arrays_of_floats_bear_what_json_makes_of_whole_numbers():
    def array(value: float) -> Any:
        return {"$nbprod": "ndarray", "value": {"dtype": "float64", "shape": [1], "values": [value]}}

    assert not list(changes(array(1), array(1 + 1e-12), floats=Margin(relative=1e-9)))
    assert list(changes(array(1), array(2), floats=Margin(relative=1e-9)))


@given(NUMBERS, NUMBERS, st.floats(0, 1e6), st.floats(0, 1))
def test_margins_are_symmetric_and_grow(before, after, absolute, relative):
    margin = Margin(absolute=absolute, relative=relative)
    assert margin.holds(before, after) is margin.holds(after, before)
    assert margin.holds(before, before)
    if Margin().holds(before, after):
        assert margin.holds(before, after)


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1e", "x%", "rel:", "auc=", "auc=b"])
def test_what_is_no_margin_is_refused(text):
    with pytest.raises(CallerError, match="not a tolerance"):
        Tolerance.parse([text])


# --- source ------------------------------------------------------------------------------------------

SOURCES = st.lists(
    st.sampled_from(["# Title", "a = 1\nb = 2", "a = 1\nb = 3", "print(a)", "x", "# Other", ""]), max_size=6
)


def notebook(*sources: Any) -> Notebook:
    return Notebook.from_node(notebook_of(*sources))


@pytest.fixture(params=["nbdime", "alone"])
def means(request, monkeypatch):
    if request.param == "alone":
        monkeypatch.setattr(pairs_module, "find_spec", lambda name: None)
    else:
        pytest.importorskip("nbdime")


@pytest.mark.parametrize("alone", [False, True], ids=["nbdime", "alone"])
@given(before=SOURCES, after=SOURCES)
def test_every_cell_stands_in_one_pair_and_in_order(alone, before, after):
    with pytest.MonkeyPatch.context() as patch:
        if alone:
            patch.setattr(pairs_module, "find_spec", lambda name: None)
        pairs = pairs_of(notebook(*before), notebook(*after))
    assert [pair.before for pair in pairs if pair.before is not None] == list(range(len(before)))
    assert [pair.after for pair in pairs if pair.after is not None] == list(range(len(after)))


@pytest.mark.usefixtures("means")
def test_what_was_added_removed_and_changed():
    body = "import os\nalpha = 1\nprint(alpha)\nprint(os)"
    before = notebook("# Title", body, "gone = 'for good'", "last")
    after = notebook("new = 'from now on'", "# Title", body.replace("= 1", "= 2"), "last")
    found = compare_sources(before, after, pairs_of(before, after))
    assert [(each.change, each.before, each.after) for each in found] == [
        ("added", None, 0),
        ("changed", 1, 2),
        ("removed", 2, None),
    ]
    assert found[1].lines == ("  import os", "- alpha = 1", "+ alpha = 2", "  print(alpha)", "  print(os)")


@pytest.mark.usefixtures("means")
def test_tags_and_kernels_are_source():
    before, after = notebook("a = 1"), Notebook.from_node(notebook_of(("a = 1", ["parameters"]), kernel="other"))
    found = compare_sources(before, after, pairs_of(before, after))
    assert [each.lines for each in found] == [
        ("- kernel python3 (python)", "+ kernel other (python)"),
        ("- tags: none", "+ tags: parameters"),
    ]


def test_a_cell_of_one_source_only_that_put_nothing_out_is_no_first_difference():
    """Edited parameters are often taken for another cell; the first cell whose outputs part is wanted."""

    def cells(*outputs: str, status: str = "ok") -> dict[int, ExecutedCell]:
        shown = [[{"output_type": "stream", "name": "stdout", "text": each}] if each else [] for each in outputs]
        return {n: ExecutedCell(cell=n, title="", outputs=each, status=status) for n, each in enumerate(shown)}

    def compared(before: dict[int, ExecutedCell], after: dict[int, ExecutedCell]) -> list[tuple[int, Outcome]]:
        apart = [Pair(before=0, after=None), Pair(before=None, after=0), Pair(before=1, after=1)]
        return [
            (each.cell, each.outcome) for each in compare_cells((before, Own()), (after, Own()), apart, Tolerance())
        ]

    assert compared(cells("", "a"), cells("", "b")) == [(1, Outcome.DIFFERENT)]
    assert compared(cells("x", "a"), cells("", "a")) == [(0, Outcome.ONLY_BEFORE), (1, Outcome.EQUAL)]
    assert compared(cells("", "a", status="failed"), cells("", "a"))[0] == (0, Outcome.ONLY_BEFORE)


@given(st.text("ab\n", max_size=30), st.text("ab\n", max_size=30))
def test_lines_tell_of_every_difference(before, after):
    if before != after:
        assert any(line[0] in "-+" for line in changed_lines(before, after))


def test_what_cannot_be_shown_is_written_out_where_only_that_differs():
    assert changed_lines("a\n\x1b[31mb\x1b[0m", "a\nc") == ("  a", "- b", "+ c")
    assert changed_lines("a\n\x1b[31mb", "a\n\x1b[32mb")[1:] == (r"- '\x1b[31mb'", r"+ '\x1b[32mb'")


def test_long_texts_are_told_in_few_lines():
    told = changed_lines("\n".join(map(str, range(3000))), "x" * 10_000)
    assert len(told) < 70
    assert max(map(len, told)) < 500


# --- levels ------------------------------------------------------------------------------------------

SAME = Comparison(
    before=RUN,
    after=RUN,
    steps=("train", "train"),
    verdict=VerdictComparison(status=("succeeded", "succeeded"), reason=("", ""), contract=(), same=True),
    source=(),
    parameters=(),
    inputs=(),
    environment=(),
    machine=(),
    scraps=(ScrapComparison(name="auc", outcome=Outcome.NORMALISED),),
    cells=(CellComparison(before=3, after=3, title="", outcome=Outcome.NORMALISED, rules=("memory addresses",)),),
    artifacts=(ArtifactComparison(name="m.skops", outcome=Outcome.NORMALISED, by="skops"),),
    seconds=(1.0, 2.0),
)
FAILED = replace(SAME.verdict, status=("succeeded", "failed"), reason=("", "cell 3 raised"), same=False)
OTHER_CELL = replace(SAME.cells[0], outcome=Outcome.DIFFERENT, changes=(OutputChange(what="stdout"),))
CASES = {
    "all": ({}, Level.ARTIFACTS, (), ("tolerance of scraps", "memory addresses", "skops")),
    "artifact": (
        {"artifacts": (ArtifactComparison(name="m", outcome=Outcome.ONLY_BEFORE),)},
        Level.OUTPUTS,
        ("artifact m: only before",),
        ("tolerance of scraps", "memory addresses"),
    ),
    "output": ({"cells": (OTHER_CELL,)}, Level.SCRAPS, ("cell 3: different (stdout)",), ("tolerance of scraps",)),
    "unread": (
        {"cells": (), "unknown": ((Section.OUTPUTS, "gone"),)},
        Level.SCRAPS,
        ("gone",),
        ("tolerance of scraps",),
    ),
    "scrap": (
        {"scraps": (ScrapComparison(name="auc", outcome=Outcome.DIFFERENT, before="1", after="2"),)},
        Level.RUNS,
        ("scrap auc: 1 → 2",),
        (),
    ),
    "ending": ({"verdict": FAILED}, Level.NONE, ("it ended as failed, not as succeeded: cell 3 raised",), ()),
    "failed both": (
        {"verdict": replace(FAILED, status=("failed", "failed"))},
        Level.ARTIFACTS,
        (),
        ("tolerance of scraps", "memory addresses", "skops"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_levels_with_why_not_the_next(case):
    changed, level, why_not, normalisers = CASES[case]
    found = reached(replace(SAME, **changed))
    assert (found.level, found.why_not, found.normalisers) == (level, why_not, normalisers)


def test_what_differs_is_named_by_section():
    assert SAME.differing() == ()
    assert replace(SAME, cells=(OTHER_CELL,)).differing() == ("outputs",)
    assert replace(SAME, cells=(OTHER_CELL,)).differing([Section.SCRAPS]) == ()
    assert replace(SAME, unknown=((Section.SOURCE, "erased"),)).differing() == ("source",)
    told = replace(SAME, cells=(OTHER_CELL,)).to_json([Section.OUTPUTS])
    assert (told["first_difference"], told["differing"]) == (3, ["outputs"])
    assert "scraps" not in told
