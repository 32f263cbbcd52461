"""Lines held back where a run has secrets."""

from __future__ import annotations

import base64
import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from nbprod.execution.held import HeldLines
from nbprod.kernels.wire import Message
from nbprod.masking import Masker

SECRET = "hunter2-hunter2"
MASK = Masker({"PASSWORD": SECRET})


def stream(text: str, name: str = "stdout", masker: Masker = MASK) -> Message:
    content = {"name": name, "text": masker.mask_text(text)}  # as what comes by the wire is
    return Message("stream", "request", "", content, json.dumps(content).encode())


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges) if a < b]


def seen_through(pieces: list[str], masker: Masker = MASK) -> list[Message]:
    held = HeldLines(masker)
    return [message for piece in pieces for message in held.feed(stream(piece, masker=masker))] + held.flush()


LINES = st.lists(st.sampled_from(["a", "bc\n", SECRET, "\r", "x" * 70, "\n"]), max_size=12).map("".join)


@given(LINES, st.lists(st.integers(0, 1000), max_size=8))
def test_a_secret_that_is_cut_in_two_is_masked(text: str, cuts: list[int]) -> None:
    seen = seen_through(pieces_of(text, cuts))
    told = "".join(str(message.content["text"]) for message in seen)
    assert SECRET not in told
    assert told == MASK.mask_text(text)
    assert all(json.loads(message.raw) == message.content for message in seen)


SHORT = ("ab1\ncd2\tef3\ngh4", "x\ny\nzz\n", "ab1\nxx\nab1\nab1\nq")
PARTS = st.lists(st.sampled_from([*SHORT, "ab1\n", "plain\n", "x\n", "\n", "q"]), max_size=8).map("".join)


@given(PARTS, st.lists(st.integers(0, 1000), max_size=12))
def test_a_secret_of_several_lines_is_never_let_go_in_pieces(text: str, cuts: list[int]) -> None:
    masker = Masker(dict(zip("ABC", SHORT, strict=True)))
    told = "".join(str(m.content["text"]) for m in seen_through(pieces_of(text, cuts), masker))
    assert not any(secret in told for secret in SHORT)
    assert ("«" in told) == any(secret in text for secret in SHORT)


def test_a_secret_that_another_stream_cuts_in_two_is_masked() -> None:
    held = HeldLines(MASK)
    parts = [stream(SECRET[:5]), stream("err", "stderr"), stream(f"{SECRET[5:]}\n")]
    seen = [message for part in parts for message in held.feed(part)] + held.flush()
    out = [message.content["text"] for message in seen if message.content["name"] == "stdout"]
    assert out == ["«secret:PASSWORD»\n"]


def test_without_holding_back_a_cut_secret_would_be_seen() -> None:
    told = "".join(MASK.mask_text(piece) for piece in (SECRET[:5], SECRET[5:]))
    assert told == SECRET


def test_streams_and_other_outputs_keep_their_order() -> None:
    held = HeldLines(MASK)
    shown = Message("display_data", "request", "", {"data": {}}, b"{}")
    seen = [*held.feed(stream("out")), *held.feed(stream("err", "stderr")), *held.feed(shown), *held.flush()]
    assert [message.content.get("text", "shown") for message in seen] == ["out", "err", "shown"]


@given(st.integers(1, 3 * len(SECRET)), st.integers(1, len(SECRET) - 1), st.sampled_from(["", "hunter2", SECRET]))
def test_a_secret_across_the_edge_of_an_endless_line_is_masked(short: int, cut: int, before: str) -> None:
    padding = "x" * ((1 << 16) + short)
    held = HeldLines(MASK)
    first = held.feed(stream(padding + before + SECRET[:cut]))
    told = "".join(str(m.content["text"]) for m in [*first, *held.feed(stream(SECRET[cut:] + "y")), *held.flush()])
    assert first  # the control: the line was too long to be kept back
    assert told == MASK.mask_text(padding + before + SECRET + "y")
    assert "«secret:PASSWORD»" in told


def test_an_endless_line_is_let_go_as_it_grows() -> None:
    held = HeldLines(MASK)
    seen = [message for _ in range(100) for message in held.feed(stream("z" * 10_000))]
    assert sum(len(str(message.content["text"])) for message in seen) > 900_000


ENCODED = base64.encodebytes(b"xy" * 40 + SECRET.encode() + b"z" * 90).decode()
MIME = st.lists(st.sampled_from(["a\n", ENCODED, "x" * 20 + "\n", "q", "aHVudGVy"]), max_size=5).map("".join)


@given(MIME, st.lists(st.integers(0, 1000), max_size=8))
def test_base64_in_lines_is_never_let_go_in_pieces(text: str, cuts: list[int]) -> None:
    seen = seen_through(pieces_of(text, cuts))
    told = "".join(str(message.content["text"]) for message in seen)
    assert told == MASK.mask_text(text)
    assert told.count("«") == text.count(ENCODED)


def test_lines_are_seen_as_they_come() -> None:
    held = HeldLines(MASK)
    for line in ("plain\n", "x" * 30 + "\n", "-" * 40 + "\n", "a,b\n"):
        assert [message.content["text"] for message in held.feed(stream(line))] == [line]
