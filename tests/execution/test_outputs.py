"""From kernel messages to outputs: what a notebook shows, and what the limits leave of it."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from hypothesis import given

from nbprod.execution.outputs import Collector, OutputLimits

from .messages import positioned, stream


def collected(*messages: tuple[str, dict[str, Any]], limits: OutputLimits | None = None) -> list[dict[str, Any]]:
    collector = Collector(limits or OutputLimits())
    for kind, content in messages:
        collector.add(0, kind, content)
    return collector.outputs(0)


def display(text: str, display_id: str | None = None, kind: str = "display_data") -> tuple[str, dict[str, Any]]:
    transient = {} if display_id is None else {"display_id": display_id}
    return kind, {"data": {"text/plain": text}, "metadata": {}, "transient": transient}


def test_streams_of_one_name_grow_together() -> None:
    assert collected(stream("a"), stream("b\n"), stream("!", "stderr"), stream("c")) == [
        {"output_type": "stream", "name": "stdout", "text": "ab\n"},
        {"output_type": "stream", "name": "stderr", "text": "!"},
        {"output_type": "stream", "name": "stdout", "text": "c"},
    ]


def test_outputs_may_be_read_while_they_grow() -> None:
    collector = Collector(OutputLimits())
    for text in "abc":
        collector.add(0, *stream(text))
        collector.outputs(0)
    assert "".join(output["text"] for output in collector.outputs(0)) == "abc"


def test_a_display_is_updated_wherever_it_stands() -> None:
    collector = Collector(OutputLimits())
    collector.add(0, *display("old", "x"))
    collector.add(1, *display("old", "x"))
    collector.add(1, *display("other", "y"))
    collector.add(2, *display("new", "x", "update_display_data"))
    assert [collector.outputs(n)[0]["data"]["text/plain"] for n in (0, 1)] == ["new", "new"]
    assert collector.outputs(1)[1]["data"]["text/plain"] == "other"
    assert collector.outputs(2) == []


def test_clear_output_clears_at_once_or_with_the_next_output() -> None:
    assert collected(stream("a"), ("clear_output", {"wait": False})) == []
    assert collected(stream("a"), ("clear_output", {"wait": True}))[0]["text"] == "a"
    assert [o["text"] for o in collected(stream("a"), ("clear_output", {"wait": True}), stream("b"))] == ["b"]
    assert [o["text"] for o in collected(stream("a"), ("clear_output", {"wait": True}), stream("b"), stream("c"))] == [
        "bc"
    ]
    assert collected(stream("a"), ("clear_output", {"wait": True}), display("d"))[0]["output_type"] == "display_data"


def test_results_and_errors() -> None:
    result = ("execute_result", {"data": {"text/plain": "1"}, "metadata": {}, "execution_count": 4})
    error = ("error", {"ename": "E", "evalue": "v", "traceback": ["t"]})
    assert collected(result, error) == [
        {"output_type": "execute_result", "data": {"text/plain": "1"}, "metadata": {}, "execution_count": 4},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]},
    ]


def feed(collector: Collector, position: int, kind: str, content: dict[str, Any], size: int) -> bool:
    kept = collector.admit(position, kind, content, size)
    if kept is not None:
        collector.add(position, kind, kept)
    return kept is content


def test_a_cell_beyond_its_limit_is_cut_with_a_marker_and_its_last_words() -> None:
    collector = Collector(OutputLimits(cell=1000, run=10_000))
    for number in range(1000):
        feed(collector, 0, *stream(f"line {number:03}\n"), 9)
    feed(collector, 0, "error", {"ename": "E", "evalue": "", "traceback": []}, 10)
    feed(collector, 1, *stream("another cell\n"), 13)
    assert collector.truncated(0)
    assert not collector.truncated(1)
    for kind, content in collector.cut_marker(0):
        collector.add(0, kind, content)
    assert collector.cut_marker(1) == []
    text = "".join(output.get("text", "") for output in collector.outputs(0))
    assert text.startswith("line 000\n")
    assert "[nbprod] Output cut here: 8,000 of this cell's 9,010 bytes were dropped" in text
    assert "1,000 bytes per cell" in text
    assert text.endswith("line 999\n")
    assert 4000 < len(text) < 6000
    assert collector.size(0) == 9_010
    assert any(output["output_type"] == "error" for output in collector.outputs(0))
    assert collector.outputs(1)[0]["text"] == "another cell\n"


def test_nothing_is_kept_after_the_cut_that_would_hide_the_gap() -> None:
    collector = Collector(OutputLimits(cell=100, run=1000))
    assert not feed(collector, 0, *display("x" * 200), 200)
    assert not feed(collector, 0, *stream("small"), 5)


@pytest.mark.parametrize("letter", ["x", "é", "€", "\n", "\\"])
def test_of_a_stream_the_beginning_is_kept_and_bytes_are_bytes(letter: str) -> None:
    collector = Collector(OutputLimits(cell=100, run=1000))
    kept = collector.admit(0, *stream(letter * 200), 1)
    assert kept is not None
    assert kept["text"] == letter * (100 // len(letter.encode()))
    assert collector.admit(0, *stream("small"), 5) is None
    assert f"{200 * len(letter.encode()) + 5:,} bytes were dropped" in collector.cut_marker(0)[0][1]["text"]


def test_a_stream_within_its_limit_is_not_cut_however_json_writes_it() -> None:
    collector = Collector(OutputLimits(cell=100, run=1000))
    content = stream("\n" * 100)
    assert collector.admit(0, *content, 10_000) is content[1]
    assert not collector.truncated(0)


def test_a_scrap_is_kept_whatever_was_cut_before_it() -> None:
    collector = Collector(OutputLimits(cell=100, run=100))
    collector.admit(0, *stream("x" * 200), 200)
    scrap = {"data": {"application/scrapbook.scrap.json+json": {"name": "a", "data": 1}}, "metadata": {}}
    assert collector.admit(0, "display_data", scrap, 500) is scrap
    assert collector.admit(0, *display("x"), 5) is None


def test_the_run_has_a_limit_of_its_own() -> None:
    collector = Collector(OutputLimits(cell=1000, run=1500))
    assert feed(collector, 0, *display("a"), 900)
    assert not feed(collector, 1, *display("b"), 900)
    assert feed(collector, 2, *display("c"), 500)
    assert (collector.truncated(0), collector.truncated(1), collector.truncated(2)) == (False, True, False)


def test_at_the_limit_nothing_is_cut() -> None:
    """The control: one byte less and the marker must not be there."""
    collector = Collector(OutputLimits(cell=10, run=10))
    assert feed(collector, 0, *stream("x" * 10), 10)
    assert collector.cut_marker(0) == []


def test_widgets_keep_their_last_state() -> None:
    collector = Collector(OutputLimits())
    state = {"_model_name": "IntSlider", "_model_module": "m", "_model_module_version": "2", "value": 1}
    opened = {"comm_id": "a", "target_name": "jupyter.widget", "data": {"state": state}}
    collector.add(0, "comm_open", opened)
    collector.add(1, "comm_msg", {"comm_id": "a", "data": {"method": "update", "state": {"value": 5}}})
    collector.add(1, "comm_msg", {"comm_id": "a", "data": {"method": "custom", "content": {}}})
    collector.add(1, "comm_open", {"comm_id": "b", "target_name": "other", "data": {}})
    metadata = collector.widget_metadata()
    assert metadata is not None
    bundle = metadata["application/vnd.jupyter.widget-state+json"]
    assert list(bundle["state"]) == ["a"]
    assert bundle["state"]["a"]["state"]["value"] == 5
    assert Collector(OutputLimits()).widget_metadata() is None


@given(positioned)
def test_whatever_comes_gives_outputs_of_a_valid_notebook(messages: list[tuple[int, Any]]) -> None:
    collector = Collector(OutputLimits())
    for position, (kind, content) in messages:
        collector.add(position, kind, content)
    cells = [nbformat.v4.new_code_cell("", id=f"c{n}", outputs=collector.outputs(n)) for n in range(3)]
    nbformat.validate(nbformat.from_dict(nbformat.v4.new_notebook(cells=cells)))
