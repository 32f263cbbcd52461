"""Executed notebooks are laid out as Jupyter lays them out, to the byte."""

from __future__ import annotations

import json
from typing import Any

import nbformat
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output

from nbprod.notebook.layout import file_bytes, laid_out

texts = st.text() | st.text(st.sampled_from('a"\\\n\r\t\x00\x7f\u2028\U0001f600/'))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner) | st.lists(texts))


@given(values)
def test_any_json_is_laid_out_as_pythons_own_encoder_does_it(value: Any) -> None:
    wanted = json.dumps(value, indent=1, sort_keys=True, separators=(",", ": "), ensure_ascii=False)
    assert laid_out(value) == wanted.encode("utf-8", "backslashreplace")


def test_a_notebook_is_laid_out_as_jupyter_does_it() -> None:
    outputs = [
        new_output("stream", name="stdout", text="one\ntwo\n\nlast without an end"),
        new_output("display_data", data={"text/plain": "", "application/json": {"b": [], "a": {}, "n": float("nan")}}),
        new_output("error", ename="E", evalue="", traceback=["é", "\x1b[0m"]),
    ]
    written = nbformat.v4.writes_json(new_notebook(cells=[new_code_cell("1\n2", id="x", outputs=outputs)]))
    assert laid_out(json.loads(written)) == written.encode()


@given(
    st.lists(texts, min_size=1, max_size=6),
    st.sampled_from(["", "a\n", "\n\n", '"\\', "\x7f", "\r\n", "\u2029", "\ud800", "\x1b[0m", "é\U0001f600"]),
)
def test_a_long_text_is_split_and_encoded_as_a_short_one(lines: list[str], odd: str) -> None:
    text = ("x" * 99 + "\n") * 700 + odd + "".join(lines) + odd
    node = new_notebook(cells=[new_code_cell("1", id="x", outputs=[new_output("stream", name="stdout", text=text)])])
    try:
        wanted = nbformat.v4.writes_json(node).encode("utf-8", "backslashreplace") + b"\n"
    except UnicodeEncodeError:
        return
    assert file_bytes(node) == wanted
