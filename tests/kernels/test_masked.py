"""Secrets that are ordinary words leave a message's structure alone, and stand in none of its texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.kernels import masked as by_shape
from nbprod.kernels.wire import read_content
from nbprod.masking import Masker
from nbprod.scraps import read_scraps

NASTY = [
    "data",
    "name",
    "status",
    "error",
    "text",
    "stdout",
    "stderr",
    "version",
    "encoder",
    "payload",
    "metadata",
    "scrapbook",
    "12345",
    "true",
    "null",
    "false",
    "plain",
    "html",
    "image",
    "json",
    "application",
    "busy",
    "idle",
    "execution_state",
    "output_type",
    "traceback",
    "ename",
    "evalue",
    "display",
    "value",
    "float",
    "ndarray",
    "dtype",
    "$nbprod",
    "method",
    "state",
    "comm_id",
    "update",
    "aborted",
    "ValueError",
    "source",
    "ask_exit",
]
WORDS = {
    *[
        "ok",
        "stdout",
        "stderr",
        "busy",
        "idle",
        "aborted",
        "error",
        "display",
        "ask_exit",
        "update",
        "json",
        "text",
        "pandas",
    ],
    "jupyter.widget",
    "IntSliderModel",
    *["$nbprod", "float", "ndarray", "int64"],
}
"""Values that steer who reads a message, and so stay."""


def mask_content(data: bytes, masker: Masker) -> bytes:
    """Mask as the wire does."""
    return read_content(data, partial(by_shape.mask_content, masker=masker))[1]


def contents(secret: str) -> list[dict[str, Any]]:
    number = int(secret) if secret.isdigit() else 1
    said = f"a {secret} b"
    scrap = {"name": "n", "data": {"k": [secret, number]}, "encoder": "json", "version": 1}
    text = {"name": said, "data": said, "encoder": "text", "version": 1}
    nan = {"name": "nan", "data": {"$nbprod": "float", "value": "nan"}, "encoder": "json", "version": 1}
    rows = {"$nbprod": "ndarray", "value": {"dtype": "int64", "shape": [2], "values": [number, 2]}}
    array = {"name": "a", "data": rows, "encoder": "json", "version": 1}
    return [
        {"name": "stdout", "text": said},
        {"name": "stderr", "text": secret},
        {"execution_state": "idle"},
        {"status": "ok", "execution_count": 12345, "payload": [{"source": "ask_exit", "keepkernel": False}]},
        {"status": "error", "ename": said, "evalue": secret, "traceback": [said, "x"]},
        {"status": "aborted"},
        {"code": said, "execution_count": 12345},
        {"data": {"text/plain": said, "text/html": said, "application/json": {said: number}}, "metadata": {}},
        {
            "data": {"application/scrapbook.scrap.json+json": scrap},
            "metadata": {"scrapbook": {"name": "n", "data": True, "display": False}},
        },
        {"data": {"application/scrapbook.scrap.text+json": text}, "metadata": {"scrapbook": {"name": said}}},
        {"data": {"application/scrapbook.scrap.json+json": nan}, "metadata": {"scrapbook": {"name": "nan"}}},
        {"data": {"application/scrapbook.scrap.json+json": array}, "metadata": {"scrapbook": {"name": "a"}}},
        {
            "data": {"image/png": "aGVsbG8="},
            "metadata": {"image/png": {"width": 12345}},
            "transient": {"display_id": "i"},
        },
        {"data": {"text/plain": "x"}, "metadata": {"scrapbook": {"name": said, "data": False, "display": True}}},
        {
            "comm_id": "c",
            "target_name": "jupyter.widget",
            "data": {"method": "update", "state": {"_model_name": "IntSliderModel", "value": number, "text": said}},
        },
        {"wait": True},
    ]


def keys_of(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}/{key}"
            yield from keys_of(item, f"{path}/{key}")
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item, path)


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


@given(st.lists(st.sampled_from(NASTY), min_size=1, max_size=4, unique=True))
def test_structure_stays_and_no_text_holds_a_secret(secrets: list[str]) -> None:
    masker = Masker({f"S{index}": secret for index, secret in enumerate(secrets)})
    for secret in secrets:
        for content in contents(secret):
            data = json.dumps(content).encode()
            masked = json.loads(mask_content(data, masker))
            said = [text for text in texts_of(masked) if text not in WORDS]
            assert not any(each in text.replace("«secret:", "") for text in said for each in secrets), masked
            assert not any(each == str(number) for each in secrets for number in numbers_of(masked.get("data")))
            assert masked.keys() == content.keys()
            for field in ("status", "execution_state", "execution_count", "target_name", "wait"):
                assert masked.get(field) == content.get(field)
            assert "text" not in content or masked["name"] == content["name"]
            if "data" in content:
                assert masked["data"].keys() == content["data"].keys()
                assert masked.get("metadata", {}).keys() == content.get("metadata", {}).keys()


def numbers_of(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_of(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@given(st.sampled_from(NASTY))
def test_scraps_are_read_all_the_same(secret: str) -> None:
    masker = Masker({"S0": secret})
    outputs = [
        {"output_type": "display_data", **json.loads(mask_content(json.dumps(content).encode(), masker))}
        for content in contents(secret)
        if "metadata" in content
    ]
    scraps = read_scraps([(0, outputs[1:-1])])
    assert {scrap.name for scrap in scraps} == {"n", masker.mask_text(f"a {secret} b"), "nan", "a"}
    for scrap in scraps:
        scrap.value()  # no tag is left around what does not fit it


def test_a_scraps_name_is_masked_in_payload_and_metadata_alike() -> None:
    payload = {"name": "my hunter2", "data": 1, "encoder": "json", "version": 1}
    content = {
        "data": {"application/scrapbook.scrap.json+json": payload},
        "metadata": {"scrapbook": {"name": "my hunter2", "data": True, "display": False}},
    }
    masked = json.loads(mask_content(json.dumps(content).encode(), Masker({"PW": "hunter2"})))
    assert [scrap.name for scrap in read_scraps([(0, [masked])])] == ["my «secret:PW»"]


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        (12345, "«secret:PW»"),
        ([123456, 12345.5, True, None], [123456, 12345.5, True, None]),
        ({"$nbprod": "decimal", "value": "12345.1"}, "«secret:PW».1"),
        ({"$nbprod": "tuple", "value": [12345]}, {"$nbprod": "tuple", "value": ["«secret:PW»"]}),
        (
            {"$nbprod": "ndarray", "value": {"dtype": "int64", "shape": [1], "values": [12345]}},
            {"dtype": "int64", "shape": [1], "values": ["«secret:PW»"]},
        ),
        ({"12345": 1, "MTIzNDU=": 2}, {"«secret:PW»": 1, "«secret:PW»'": 2}),
    ],
    ids=["number", "not as a whole", "tagged", "container", "array", "two keys"],
)
def test_users_json(value: Any, masked: Any) -> None:
    data = json.dumps({"data": {"application/json": value}}).encode()
    assert json.loads(mask_content(data, Masker({"PW": "12345"}))) == {"data": {"application/json": masked}}


def test_bytes_without_a_secret_are_the_same_object() -> None:
    data = b'{"name": "stdout",  "text": "\xc3\xa9", "n": NaN}'
    for word in ("name", "stdout"):
        assert by_shape.mask_content(data, json.loads(data), Masker({"PW": word})) is data


def test_what_is_nested_too_deeply_is_dropped() -> None:
    data = b'{"data": {"application/json": %b"hunter2"%b}}' % (b"[" * 900, b"]" * 900)
    masked = mask_content(data, Masker({"PW": "hunter2"}))
    assert b"hunter2" not in masked


def test_mime_types_made_up_by_users_are_masked_and_known_ones_are_not() -> None:
    data = json.dumps({"data": {"text/plain": "x", "x/hunter-plain": "y"}}).encode()
    masked = json.loads(mask_content(data, Masker({"A": "hunter", "B": "plain"})))
    assert set(masked["data"]) == {"text/plain", "x/«secret:A»-«secret:B»"}
