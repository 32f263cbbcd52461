"""Reading notebooks: versions, what earlier executions left, and what is refused."""

from __future__ import annotations

import copy
import json
import math
import pickle
import zlib

import nbformat
import pytest
from papermill.execute import ERROR_ANCHOR_MSG, ERROR_MESSAGE_TEMPLATE
from papermill.parameterize import parameterize_notebook

from nbprod.errors import NotebookInvalid, NotFound
from nbprod.notebook import Notebook, source_digest, with_parameters
from nbprod.parameters import Schema


def code(source, *tags, **more):
    return {
        "cell_type": "code", "id": f"c{zlib.crc32(repr((source, tags)).encode())}", "metadata": {"tags": list(tags)},
        "source": source, "outputs": [], "execution_count": None, **more,
    }  # fmt: skip


def markdown(source, *tags):
    name = f"m{zlib.crc32(source.encode())}"
    return {"cell_type": "markdown", "id": name, "metadata": {"tags": list(tags)}, "source": source}


def node(*cells, minor=5, **metadata):
    return {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": list(cells)}


def parse(value, **more):
    return Notebook.parse(json.dumps(value).encode(), **more)


PLAIN = node(
    markdown("# Train"),
    code("import os"),
    code("alpha: float = 0.1", "parameters"),
    markdown("## Fit"),
    code("x = 1\ny = 2"),
    kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
)


def test_cells():
    notebook = parse(PLAIN, path="a/train.ipynb")
    assert [cell.index for cell in notebook.cells] == [0, 1, 2, 3, 4]
    assert [cell.index for cell in notebook.code_cells] == [1, 2, 4]
    assert notebook.parameters_cell == 2
    assert notebook.schema.names == ("alpha",)
    assert (notebook.path, notebook.kernel_name, notebook.language) == ("a/train.ipynb", "python3", "python")
    assert notebook.title == "Train"
    assert pickle.loads(pickle.dumps(notebook)) == notebook


def test_lists_of_lines_are_joined():
    notebook = parse(
        node(code(["a = 1\n", "b = 2"], outputs=[{"output_type": "stream", "name": "stdout", "text": ["x\n", "y"]}]))
    )
    assert notebook.cells[0].source == "a = 1\nb = 2"
    assert notebook.node()["cells"][0]["outputs"][0]["text"] == "x\ny"


def test_mime_bundles_are_joined_but_json_is_not():
    data = {"text/plain": ["a\n", "b"], "application/json": ["a", "b"], "application/x+json": ["c"]}
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    found = parse(node(code("a", outputs=[output]))).node()["cells"][0]["outputs"][0]["data"]
    assert found == {**data, "text/plain": "a\nb"}
    with pytest.raises(NotebookInvalid, match="data"):
        parse(node(code("a", outputs=[{**output, "data": []}])))


def test_the_raw_notebook_is_out_of_reach():
    given = copy.deepcopy(PLAIN)
    notebook = Notebook.from_node(given)
    notebook.node()["cells"].clear()
    given["cells"].clear()
    with_parameters(notebook, "alpha = 1\n").node["cells"].clear()
    assert len(notebook.node()["cells"]) == len(notebook.cells) == 5


def test_a_notebook_node_becomes_a_dict():
    notebook = Notebook.from_node(nbformat.from_dict(PLAIN))
    assert type(notebook.node()["metadata"]) is dict
    assert notebook == parse(PLAIN)


@pytest.mark.parametrize("minor", [0, 2, 4])
def test_older_minor_versions_get_the_same_ids_at_every_reading(minor):
    old = copy.deepcopy(PLAIN)
    old["nbformat_minor"] = minor
    for cell in old["cells"]:
        del cell["id"]
    first, second = parse(old), parse(old)
    assert first.node() == second.node()
    assert len({cell.id for cell in first.cells}) == 5
    nbformat.validate(first.node())
    assert source_digest(first) == source_digest(parse(PLAIN))


def test_duplicate_and_invalid_ids_are_replaced():
    notebook = parse(node(code("a", id="same"), code("b", id="same"), code("c", id="not valid!"), code("d", id=7)))
    assert notebook.cells[0].id == "same"
    assert len({cell.id for cell in notebook.cells}) == 4
    nbformat.validate(notebook.node())


def test_version_3():
    old = {
        "nbformat": 3, "nbformat_minor": 0, "metadata": {"name": "x"},
        "worksheets": [{"metadata": {}, "cells": [
            {"cell_type": "heading", "level": 2, "source": ["Hi"], "metadata": {}},
            {"cell_type": "code", "input": ["a = 1\n", "b = 2"], "language": "python", "outputs": [], "metadata": {}},
        ]}],
    }  # fmt: skip
    notebook = parse(old)
    assert [(cell.kind, cell.source) for cell in notebook.cells] == [("markdown", "## Hi"), ("code", "a = 1\nb = 2")]
    assert notebook == parse(old)


def test_numbers_that_fast_readers_spoil_survive():
    data = json.dumps(node(code("a"), big=2**70, nan=math.nan, lone="\ud800")).encode()
    metadata = Notebook.parse(data).node()["metadata"]
    assert metadata["big"] == 2**70
    assert math.isnan(metadata["nan"])
    assert metadata["lone"] == "\ud800"
    assert Notebook.parse(json.dumps(node(code("a"), big=2**70)).encode()).node()["metadata"]["big"] == 2**70


def test_a_byte_order_mark_is_skipped():
    assert Notebook.parse(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode()) == parse(PLAIN)


BROKEN = {
    "empty": b"",
    "not JSON": b"x = 1",
    "cut off": json.dumps(PLAIN).encode()[:-20],
    "latin-1": json.dumps(PLAIN).encode().replace(b"Train", b"Tr\xe4in"),
    "a list": b"[]",
    "no nbformat": b"{}",
    "nbformat a text": b'{"nbformat": "4"}',
    "newer": b'{"nbformat": 5, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "broken 3": b'{"nbformat": 3, "worksheets": 1}',
    "no cells": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "cells an object": json.dumps({**PLAIN, "cells": {}}).encode(),
    "metadata a list": json.dumps({**PLAIN, "metadata": []}).encode(),
    "kernelspec a text": json.dumps(node(kernelspec="python3")).encode(),
    "language a number": json.dumps(node(language_info={"name": 3})).encode(),
    "cell a text": json.dumps(node("x")).encode(),
    "cell of unknown type": json.dumps(node({**code("a"), "cell_type": "heading"})).encode(),
    "no source": json.dumps(node({"cell_type": "code", "metadata": {}})).encode(),
    "source a number": json.dumps(node(code(1))).encode(),
    "tags a text": json.dumps(node(code("a", metadata={"tags": "parameters"}))).encode(),
    "cell metadata null": json.dumps(node(code("a", metadata=None))).encode(),
    "outputs an object": json.dumps(node(code("a", outputs={}))).encode(),
    "output of unknown type": json.dumps(node(code("a", outputs=[{"output_type": "pyout"}]))).encode(),
    "stream without text": json.dumps(node(code("a", outputs=[{"output_type": "stream"}]))).encode(),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_files_are_refused(data):
    with pytest.raises(NotebookInvalid, match=r"x\.ipynb"):
        Notebook.parse(data, path="x.ipynb")
    assert parse(PLAIN, path="x.ipynb")


def test_the_message_says_where():
    with pytest.raises(NotebookInvalid, match=r"x\.ipynb: cell 1 .*tags"):
        parse(node(code("a"), code("a", metadata={"tags": "b"})), path="x.ipynb")
    with pytest.raises(NotebookInvalid, match=r"x\.ipynb: cell 1: .* line 2"):
        _ = parse(node(code("a"), code("a = 1\nb = = 2", "parameters")), path="x.ipynb").schema


def test_files(tmp_path):
    path = tmp_path / "a {b} ü.ipynb"
    path.write_text(json.dumps(PLAIN), encoding="utf-8")
    before = path.read_bytes()
    assert Notebook.read(path) == parse(PLAIN, path=path)
    assert path.read_bytes() == before
    with pytest.raises(NotFound):
        Notebook.read(tmp_path / "none.ipynb")
    with pytest.raises(NotFound):
        Notebook.read(tmp_path)


def test_what_an_execution_left_is_stripped():
    executed = copy.deepcopy(PLAIN)
    executed["cells"].insert(0, markdown("<sub>Written by nbprod.</sub>", "nbprod-record"))
    executed["cells"].insert(1, markdown(ERROR_MESSAGE_TEMPLATE % 3, "papermill-error-cell-tag"))
    executed["cells"].append(markdown(ERROR_ANCHOR_MSG, "papermill-error-cell-tag"))
    executed["cells"].insert(5, code("alpha = 0.5", "injected-parameters"))
    executed["metadata"]["papermill"] = {"parameters": {"alpha": 0.5}}
    executed["cells"][3]["execution_count"] = 7
    notebook = parse(executed)
    assert [cell.source for cell in notebook.cells] == [cell["source"] for cell in PLAIN["cells"]]
    assert len(notebook.node()["cells"]) == 5
    assert source_digest(notebook) == source_digest(parse(PLAIN))
    injected, told = notebook.dropped
    assert "injected-parameters" in injected
    assert "3 Markdown cells" in told
    assert notebook.remarks == notebook.dropped
    assert parse(PLAIN).remarks == ()


@pytest.mark.parametrize("metadata", [{}, {"papermill": {"parameters": {"a": 1}}, "nbprod": {"run": "r"}}], ids=str)
def test_code_is_never_taken_for_a_record_or_an_error_marker(metadata):
    cells = [code("a = 1", "nbprod-record"), code("b = 2", "papermill-error-cell-tag")]
    mine = markdown("what I think of errors", "papermill-error-cell-tag")
    notebook = parse(node(*cells, mine, **metadata))
    assert [cell.source for cell in notebook.cells] == ["a = 1", "b = 2", mine["source"]]
    assert notebook.dropped == ()
    assert len(parse(node(markdown("mine", "nbprod-record"))).cells) == 1


def with_tag_by_hand(mark=None, **metadata):
    tagged = code("x = 42", "injected-parameters")
    if mark is not None:
        tagged["metadata"]["nbprod"] = mark
    return node(code("x = 1", "parameters"), code("y = 0"), tagged, code("print(x)"), **metadata)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (with_tag_by_hand(), True),
        (with_tag_by_hand(papermill={"parameters": {}}), True),
        (with_tag_by_hand({"cell": 2}, papermill={"parameters": {"x": 2}}, nbprod={}), True),
        (with_tag_by_hand(papermill={"parameters": {"x": 42}}), False),
        (with_tag_by_hand(nbprod={"run": "r"}), False),
        (with_tag_by_hand({"cell": None}, nbprod={"run": "r"}), False),
    ],
    ids=["plain", "papermill-gave-nothing", "nbprod-ran-it-as-source", "papermill", "nbprod", "nbprod-injected-it"],
)
def test_an_injected_cell_is_source_unless_an_execution_added_it(value, kept):
    notebook = parse(value)
    assert ("x = 42" in [cell.source for cell in notebook.cells]) is kept
    assert (notebook.injected_cell, len(notebook.dropped)) == ((2, 0) if kept else (None, 1))


def test_an_injected_cell_that_is_source_gives_way_to_given_values_as_in_papermill():
    metadata = {"papermill": {}, "language_info": {"name": "python"}, "kernelspec": {"name": "python3"}}
    given = nbformat.from_dict(with_tag_by_hand(**metadata))
    theirs = parameterize_notebook(given, {"x": 7})
    ours = with_parameters(parse(with_tag_by_hand()), "# Parameters\nx = 7\n")
    assert [cell["source"] for cell in ours.node["cells"]] == [cell["source"] for cell in theirs["cells"]]
    assert (ours.injected, ours.replaced, ours.positions) == (2, True, (0, 1, 2, 3))
    assert [ours.source_index(position) for position in range(4)] == [0, 1, None, 3]
    beside = with_parameters(parse(with_tag_by_hand()), "z = 1\n", replace=False)
    assert [cell["source"] for cell in beside.node["cells"]] == ["x = 1", "z = 1\n", "y = 0", "x = 42", "print(x)"]
    assert [beside.source_index(position) for position in range(5)] == [0, None, 1, 2, 3]


def test_a_second_parameters_cell_is_remarked():
    notebook = parse(node(code("a = 1", "parameters"), markdown("text", "parameters"), code("a = 2", "parameters")))
    assert len(notebook.remarks) == 1
    assert "cell 2" in notebook.remarks[0]
    assert "cell 0" in notebook.remarks[0]


def test_an_injected_cell_alone_declares_the_parameters():
    notebook = parse(node(code("alpha = 0.5", "injected-parameters", "mine"), code("b = 1")))
    assert notebook.parameters_cell == 0
    assert notebook.cells[0].tags == ("parameters", "mine")
    assert notebook.schema.names == ("alpha",)


def test_no_parameters_cell():
    assert parse(node(code("a"))).schema == Schema(declared=False)
    assert parse(node(markdown("a", "parameters"))).parameters_cell is None
    first = parse(node(code("a = 1", "parameters"), code("b = 1", "parameters")))
    assert first.schema.names == ("a",)


def test_headings():
    notebook = parse(
        node(
            code("a"),
            markdown("intro\n## Load *it* ##\n```\n# not this\n```\n"),
            code("b"),
            markdown("no heading\n#hashtag\n####### seven"),
            code("c"),
            code("# papermill_description=Fit the model\nd"),
            markdown("# Train"),
        )
    )
    labels = [notebook.heading(cell.index) for cell in notebook.cells]
    assert labels == [None, "Load *it*", "Load *it*", "Load *it*", "Load *it*", "Fit the model", "Train"]
    assert notebook.title == "Train"
    assert parse(node(code("# no"))).title is None


@pytest.mark.parametrize(
    ("metadata", "kernel", "language"),
    [
        ({}, None, "python"),
        ({"kernelspec": {"name": "python3"}}, "python3", "python"),
        ({"kernelspec": {"name": "ir", "language": "R"}}, "ir", "r"),
        ({"kernelspec": {"name": "x"}, "language_info": {"name": "julia"}}, "x", "julia"),
        ({"kernelspec": {"name": "bash"}}, "bash", "bash"),
    ],
    ids=str,
)
def test_kernel_and_language(metadata, kernel, language):
    notebook = parse(node(**metadata))
    assert (notebook.kernel_name, notebook.language) == (kernel, language)


def test_of_other_languages_nothing_is_known_and_any_name_is_taken():
    notebook = parse(node(code("a <- 1", "parameters"), kernelspec={"name": "ir", "language": "R"}))
    assert notebook.schema == Schema(open=True)


def test_injected_cell_stands_where_papermill_puts_it():
    given = nbformat.from_dict(copy.deepcopy(PLAIN))
    given.metadata.update(nbformat.from_dict({"papermill": {}, "language_info": {"name": "python"}}))
    theirs = parameterize_notebook(given, {"alpha": 0.5})
    ours = with_parameters(parse(PLAIN), "# Parameters\nalpha = 0.5\n")
    assert [cell["source"] for cell in ours.node["cells"]] == [cell["source"] for cell in theirs["cells"]]
    assert ours.injected == 3
    assert ours.node["cells"][3]["metadata"] == theirs["cells"][3]["metadata"]
    assert ours.positions == (0, 1, 2, 4, 5)
    assert [ours.source_index(position) for position in range(6)] == [0, 1, 2, None, 3, 4]
    nbformat.validate(ours.node)


def test_injection_at_the_top_and_none_at_all():
    notebook = parse(node(code("a", id="injected-parameters")))
    at_top = with_parameters(notebook, "b = 1\n", hidden=True)
    assert (at_top.injected, at_top.positions) == (0, (1,))
    assert at_top.node["cells"][0]["metadata"]["jupyter"] == {"source_hidden": True}
    nbformat.validate(at_top.node)
    nothing = with_parameters(notebook, None)
    assert (nothing.injected, nothing.positions, nothing.source_index(0)) == (None, (0,), 0)
    assert nothing.node == notebook.node()


def test_an_executed_notebook_reads_as_its_source():
    notebook = parse(PLAIN)
    prepared = with_parameters(notebook, "# Parameters\nalpha = 0.5\n")
    prepared.node["metadata"]["papermill"] = {"parameters": {"alpha": 0.5}}
    assert Notebook.from_node(prepared.node) == notebook
