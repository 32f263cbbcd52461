"""Messages on the wire: signed, and readable whatever a kernel puts into them."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import KernelUnavailable
from nbprod.kernels.wire import Wire, loads

KEY = "0123abcd"
contents = st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers() | st.none(), max_size=3)


def frames_of(content: bytes, key: str = KEY) -> list[bytes]:
    parts = [json.dumps({"msg_type": "stream", "date": "2026"}).encode(), b'{"msg_id": "p"}', b"{}", content]
    return [b"identity", b"<IDS|MSG>", Wire(key)._sign(parts), *parts]


@given(contents)
def test_what_is_packed_unpacks(content: dict[str, Any]) -> None:
    message_id, frames = Wire(KEY).pack("execute_request", content)
    message = Wire(KEY).unpack([b"prefix", *frames])
    assert (message.kind, message.parent, message.content) == ("execute_request", "", content)
    assert json.loads(frames[2])["msg_id"] == message_id


def test_message_ids_differ() -> None:
    wire = Wire(KEY)
    assert len({wire.pack("x", {})[0] for _ in range(100)} | {Wire(KEY).pack("x", {})[0]}) == 101


@given(contents, st.integers(0, 4), st.integers(0, 10**6), st.integers(0, 7))
def test_tampering_is_noticed(content: dict[str, Any], frame: int, byte: int, bit: int) -> None:
    _, frames = Wire(KEY).pack("x", content)
    changed = bytearray(frames[1 + frame])
    changed[byte % len(changed)] ^= 1 << bit
    frames[1 + frame] = bytes(changed)
    with pytest.raises(KernelUnavailable, match="not signed"):
        Wire(KEY).unpack(frames)


def test_another_key_is_refused_and_the_right_one_is_not() -> None:
    with pytest.raises(KernelUnavailable, match="not signed"):
        Wire(KEY).unpack(frames_of(b"{}", "another"))
    assert Wire(KEY).unpack(frames_of(b"{}")).parent == "p"


@pytest.mark.parametrize("frames", [[], [b"x"], [b"<IDS|MSG>"]], ids=["nothing", "noise", "cut"])
def test_what_is_no_message_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(KernelUnavailable, match="no Jupyter message"):
        Wire(KEY).unpack(frames)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'{"text": "\xc3\xa9\xe2\x80\xa8"}', "é\u2028"),
        (b'{"text": "\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"text": "a\x80b"}', "a\ufffdb"),
        (b'{"text": "a\\udc80b"}', "a\ufffdb"),
        (b'{"text": "a\xed\xa0\x80b", "n": NaN}', "a\ufffd\ufffd\ufffdb"),
    ],
    ids=["plain", "pair", "no utf-8", "escaped surrogate", "encoded surrogate"],
)
def test_texts_are_unicode_in_the_end(raw: bytes, text: str) -> None:
    message = Wire(KEY).unpack(frames_of(raw))
    assert message.content["text"] == text
    assert json.loads(message.raw.decode("utf-8"))["text"] == text


def test_nan_and_infinities_are_read() -> None:
    content = Wire(KEY).unpack(frames_of(b'{"a": NaN, "b": -Infinity}')).content
    assert math.isnan(content["a"])
    assert content["b"] == -math.inf


def test_a_mask_goes_before_everybody() -> None:
    message = Wire(KEY, lambda raw, _: raw.replace(b"secret", b"***")).unpack(frames_of(b'{"text": "my secret"}'))
    assert message.content == {"text": "my ***"}
    assert b"secret" not in message.raw


def test_surrogates_in_a_cells_source_go_out_as_escapes() -> None:
    _, frames = Wire(KEY).pack("execute_request", {"code": "'\ud800'"})
    assert b"\\ud800" in frames[-1]


def test_an_integer_beyond_64_bits_stays_exact() -> None:
    assert loads(b'{"big":1180591620717411303424,"small":1}') == {"big": 2**70, "small": 1}
    assert isinstance(orjson.loads(b"1180591620717411303424"), float)  # the control: what orjson makes of it
