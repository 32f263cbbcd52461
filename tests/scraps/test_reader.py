"""The strict reader of scrapbook's wire format."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.digest import canonical, digest_bytes
from nbprod.errors import DigestMismatch, ScrapError, UnsupportedVersion
from nbprod.parameters.codec import tag
from nbprod.scraps import INLINE_LIMIT, Scrap, ScrapEntry, read_scraps

PAYLOAD = {"name": "a", "data": 1, "encoder": "json", "version": 1}
PARQUET = base64.b64encode(b"PAR1 something PAR1").decode()


def data(name: Any = "a", value: Any = 1, encoder: str = "json", **changes: Any) -> dict[str, Any]:
    """Return the output that `sb.glue(name, value)` makes."""
    payload = PAYLOAD | {"name": name, "data": value, "encoder": encoder} | changes
    return {
        "output_type": "display_data",
        "data": {f"application/scrapbook.scrap.{encoder}+json": payload},
        "metadata": {"scrapbook": {"name": name, "data": True, "display": False}},
    }


def display(name: Any = "a", **bundle: Any) -> dict[str, Any]:
    """Return the output that `sb.glue(name, …, "display")` makes."""
    return {
        "output_type": "display_data",
        "data": bundle or {"text/plain": "shown"},
        "metadata": {"scrapbook": {"name": name, "data": False, "display": True}},
    }


def read(*outputs: dict[str, Any]) -> tuple[Scrap, ...]:
    return read_scraps([(3, outputs)])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda key: key != "$nbprod"), inner, max_size=4)
    ),
    max_leaves=15,
)


def same(left: Any, right: Any) -> bool:
    """Compare by value and type; NaN equals NaN."""
    return repr(left) == repr(right)


@given(JSON.filter(lambda value: value is not None))
def test_json_scraps_come_back_through_file_and_record(value: Any) -> None:
    (wire,) = json.loads(json.dumps([data(value=value)]))
    (scrap,) = read(wire)
    assert same(scrap.value(), value)
    again = ScrapEntry.from_json(json.loads(canonical(scrap.entry().to_json()))).scrap()
    # RFC 8785 sorts keys, so their order is not part of the value.
    assert canonical(again.data) == canonical(scrap.data)
    assert same(sorted_keys(again.value()), sorted_keys(value))


def sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value


def test_each_encoder_is_read() -> None:
    scraps = read(
        {"output_type": "stream", "name": "stdout", "text": "x"},
        data("n", 0.5),
        data("t", "hällo", "text"),
        data("f", PARQUET, "pandas"),
        display("d", **{"text/plain": ["a\n", "b"], "text/html": "<b>"}),
        {"output_type": "execute_result", "data": {"text/plain": "7"}, "metadata": {}},
    )
    assert [(s.name, s.encoder, s.type, s.cell) for s in scraps] == [
        ("n", "json", "float", 3),
        ("t", "text", "str", 3),
        ("f", "pandas", "dataframe", 3),
        ("d", "display", "display", 3),
    ]
    assert scraps[3].value() == {"text/plain": "a\nb", "text/html": "<b>"}
    assert [s.data for s in scraps] == [0.5, "hällo", PARQUET, None]


def test_data_hidden_behind_its_display_is_read() -> None:
    (scrap,) = read(data("a", 7), {"output_type": "stream", "text": "between"}, display("a"))
    assert (scrap.value(), scrap.display) == (7, {"text/plain": "shown"})


TAGGED = {
    "none": ({"$nbprod": "none", "value": None}, None),
    "nan": (tag(math.nan), math.nan),
    "whole": (1.0, 1.0),
    "big": (2**60, 2**60),
    "datetime": (tag(datetime(2013, 1, 1, tzinfo=UTC)), datetime(2013, 1, 1, tzinfo=UTC)),
    "tuple": (tag((1, (2,))), (1, (2,))),
    "dict": ({"$nbprod": "dict", "value": [[1, {"$nbprod": "none", "value": None}]]}, {1: None}),
    "frozenset": (tag({frozenset({1})}), {frozenset({1})}),
    "surrogate": ("\ud800", "\ud800"),
}


@pytest.mark.parametrize(("wire", "value"), TAGGED.values(), ids=TAGGED)
def test_tags_are_undone(wire: Any, value: Any) -> None:
    (scrap,) = read(data(value=wire))
    assert same(scrap.value(), value)
    assert json.loads(scrap.payload_bytes()) is not None


def test_arrays_of_floats_are_not_blown_up_by_tags() -> None:
    wire = {"$nbprod": "ndarray", "value": {"dtype": "float64", "shape": [2], "values": [1.0, math.inf]}}
    (scrap,) = read(data(value=wire))
    assert scrap.data["value"]["values"] == [1.0, {"$nbprod": "float", "value": "inf"}]
    array = scrap.value()
    assert (array.dtype, array.tolist()) == ("float64", [1.0, math.inf])


FAULTS = {
    "version 2": (data(version=2), "version 2"),
    "no version": (data(version=None), "version None"),
    "version true": (data(version=True), "version True"),
    "unknown encoder": (data(encoder="arrow"), "unknown encoder 'arrow'"),
    "two encoders": ({"data": {"application/scrapbook.scrap.text+json": {**PAYLOAD, "data": "x"}}}, "says encoder"),
    "no payload": ({"data": {"application/scrapbook.scrap.json+json": "x"}, "metadata": {}}, "no JSON object"),
    "no encoder": ({"data": {"application/scrapbook.scrap": {}}, "metadata": {}}, "names no encoder"),
    "no name": (data(name=None), "name is None"),
    "empty name": (data(name=""), "name is ''"),
    "other name": (data() | {"metadata": {"scrapbook": {"name": "b"}}}, "called 'b'"),
    "no data": (data(value=None), "no data"),
    "text of int": (data(value=1, encoder="text"), "not text"),
    "pandas no base64": (data(value="??", encoder="pandas"), "base64"),
    "pandas no parquet": (data(value="AAAA", encoder="pandas"), "parquet"),
    "data of display": (data(encoder="display"), "'display'"),
    "display without name": (display(name=None), "name is None"),
}


@pytest.mark.parametrize(("output", "message"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_read_truly_is_refused(output: dict[str, Any], message: str) -> None:
    with pytest.raises(ScrapError, match="cell 3: ") as caught:
        read(output)
    assert message in str(caught.value)
    assert read(data())  # the control: the same output without the fault


def test_a_secret_in_a_dataframe_is_told_as_what_is_wrong_with_it() -> None:
    masked = data(value=f"{PARQUET[:8]}«secret:TOKEN»{PARQUET[8:]}", encoder="pandas")
    with pytest.raises(ScrapError, match="'a' held the secret TOKEN; that was masked") as caught:
        read(masked)
    assert "sb.glue" not in str(caught.value)
    with pytest.raises(ScrapError, match=r"sb\.glue"):
        read_scraps([(3, [masked]), (4, [data("b", version=9)])])


def test_duplicates_name_both_cells_and_all_faults_come_together() -> None:
    cells = [(1, [data("a")]), (4, [data("a", 2), data("b", version=9), data("c"), data("c")]), (5, [display("a")])]
    with pytest.raises(ScrapError) as caught:
        read_scraps(cells)
    text = str(caught.value)
    for part in ("'a' is glued in cells 1 and 4", "version 9", "'c' is glued twice in cell 4", "in cells 1 and 5"):
        assert part in text


def test_a_display_before_its_data_or_twice_is_a_duplicate() -> None:
    for outputs in ([display(), data()], [display(), display()], [data(), display(), display()]):
        with pytest.raises(ScrapError, match="twice in cell 3"):
            read(*outputs)


def test_broken_and_unknown_tags_are_refused_when_read() -> None:
    (unknown,) = read(data(value={"$nbprod": "matrix", "value": 1}))
    (broken,) = read(data(value={"$nbprod": "ndarray", "value": {"dtype": "float64"}}))
    with pytest.raises(UnsupportedVersion, match="matrix"):
        unknown.value()
    with pytest.raises(ScrapError, match="ndarray"):
        broken.value()


def test_big_scraps_are_kept_by_reference() -> None:
    (scrap,) = read(data(value="x" * INLINE_LIMIT, encoder="text"), display("a"))
    assert scrap.size > INLINE_LIMIT
    payload = scrap.payload_bytes()
    entry = ScrapEntry.from_json(json.loads(canonical(scrap.entry(digest_bytes(payload)).to_json())))
    assert "value" not in entry.to_json()
    assert entry.scrap(lambda _: payload) == scrap
    with pytest.raises(DigestMismatch):
        entry.scrap(lambda _: payload + b" ")
    with pytest.raises(ScrapError, match="store"):
        entry.scrap()


def test_unknown_fields_of_an_entry_are_written_back() -> None:
    written = read(data())[0].entry().to_json() | {"later": 1}
    assert ScrapEntry.from_json(written).to_json() == written
    with pytest.raises(ScrapError, match="incomplete"):
        ScrapEntry.from_json({"name": "a"})
    with pytest.raises(ScrapError, match="no JSON object"):
        ScrapEntry.from_json(5)


def test_a_frame_that_is_no_parquet_file_is_refused() -> None:
    (scrap,) = read(data(value=PARQUET, encoder="pandas"))
    with pytest.raises(ScrapError, match="parquet"):
        scrap.value()
