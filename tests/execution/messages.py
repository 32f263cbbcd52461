"""Sequences of kernel messages, of any shape that a kernel could send."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just("line\n") | st.just("50%\r100%")
ids = st.sampled_from(["a", "b"])
bundles = st.dictionaries(st.sampled_from(["text/plain", "text/html"]), texts, min_size=1)
transients = st.just({}) | st.fixed_dictionaries({"display_id": ids})

streams = st.tuples(
    st.just("stream"), st.fixed_dictionaries({"name": st.sampled_from(["stdout", "stderr"]), "text": texts})
)
displays = st.tuples(
    st.sampled_from(["display_data", "update_display_data"]),
    st.fixed_dictionaries({"data": bundles, "metadata": st.just({}), "transient": transients}),
)
results = st.tuples(
    st.just("execute_result"),
    st.fixed_dictionaries({"data": bundles, "metadata": st.just({}), "execution_count": st.integers(1, 9)}),
)
clears = st.tuples(st.just("clear_output"), st.fixed_dictionaries({"wait": st.booleans()}))
errors = st.tuples(
    st.just("error"),
    st.fixed_dictionaries({"ename": texts, "evalue": texts, "traceback": st.lists(texts, max_size=2)}),
)
comms = st.tuples(
    st.sampled_from(["comm_open", "comm_msg"]),
    st.fixed_dictionaries(
        {
            "comm_id": ids,
            "target_name": st.just("jupyter.widget"),
            "data": st.fixed_dictionaries(
                {"state": st.fixed_dictionaries({"_model_name": texts, "_model_module": texts, "value": texts})}
            ),
        }
    ),
)
messages = st.one_of(streams, streams, displays, results, clears, errors, comms)
positioned = st.lists(st.tuples(st.integers(0, 2), messages), max_size=25)


def stream(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}
