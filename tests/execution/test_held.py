"""Streams held back where a run has secrets."""

from __future__ import annotations

import base64
import itertools
import json
import pprint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.execution.held import HeldStreams
from nbprod.kernels.wire import Message
from nbprod.masking import Masker

SECRET = "hunter2-hunter2"
MASK = Masker({"PASSWORD": SECRET})


def stream(text: str, name: str = "stdout", masker: Masker = MASK, cell: str = "request") -> Message:
    content = {"name": name, "text": masker.mask_text(text)}  # as what comes by the wire is
    return Message("stream", cell, "", content, json.dumps(content).encode())


def other(kind: str, cell: str = "request", **content: object) -> Message:
    return Message(kind, cell, "", content, json.dumps(content).encode())


def text_of(seen: list[Message], name: str = "stdout", cell: str | None = None) -> str:
    """Return a stream as it reads when put together, as a notebook and a journal have it."""
    said = [each for each in seen if each.kind == "stream" and each.content["name"] == name]
    return "".join(str(each.content["text"]) for each in said if cell in (None, each.parent))


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges) if a < b]


def seen_through(pieces: list[str], masker: Masker = MASK, between: list[str] | None = None) -> list[Message]:
    held = HeldStreams(masker)
    seen = []
    for number, piece in enumerate(pieces):
        seen += held.feed(stream(piece, masker=masker))
        what = (between or ["stream"])[number % len(between or ["stream"])]
        if what == "idle":
            seen += held.settle()
        elif what != "stream":
            seen += held.feed(other(what))
    return [*(each for each in seen if each.kind == "stream"), *(each for each in held.flush() if each.content["text"])]


BETWEEN = st.lists(st.sampled_from(["stream", "idle", "display_data"]), min_size=1, max_size=3)


LINES = st.lists(st.sampled_from(["a", "bc\n", SECRET, "\r", "x" * 70, "\n"]), max_size=12).map("".join)


@given(LINES, st.lists(st.integers(0, 1000), max_size=8), BETWEEN)
def test_a_secret_that_is_cut_in_two_is_masked(text: str, cuts: list[int], between: list[str]) -> None:
    seen = seen_through(pieces_of(text, cuts), between=between)
    told = "".join(str(message.content["text"]) for message in seen)
    assert SECRET not in told
    assert told == MASK.mask_text(text)
    assert all(json.loads(message.raw) == message.content for message in seen)


SHORT = ("ab1\ncd2\tef3\ngh4", "x\ny\nzz\n", "ab1\nxx\nab1\nab1\nq")
PARTS = st.lists(st.sampled_from([*SHORT, "ab1\n", "plain\n", "x\n", "\n", "q"]), max_size=8).map("".join)


@given(PARTS, st.lists(st.integers(0, 1000), max_size=12), BETWEEN)
def test_a_secret_of_several_lines_is_never_let_go_in_pieces(text: str, cuts: list[int], between: list[str]) -> None:
    masker = Masker(dict(zip("ABC", SHORT, strict=True)))
    told = "".join(str(m.content["text"]) for m in seen_through(pieces_of(text, cuts), masker, between))
    assert not any(secret in told for secret in SHORT)
    assert ("«" in told) == any(secret in text for secret in SHORT)


def test_a_secret_that_another_stream_cuts_in_two_is_masked() -> None:
    held = HeldStreams(MASK)
    parts = [stream(SECRET[:5]), stream("err", "stderr"), stream(f"{SECRET[5:]}\n")]
    seen = [message for part in parts for message in held.feed(part)] + held.flush()
    out = [message.content["text"] for message in seen if message.content["name"] == "stdout"]
    assert out == ["«secret:PASSWORD»\n"]


CELLS = st.sampled_from(["c1", "c2"])
NOISE = st.lists(
    st.sampled_from(
        [("c2", "stdout", "b\n"), ("c1", "stdout", "h"), ("c1", "stderr", "e"), ("c1", "error", ""), ("", "idle", "")]
    ),
    max_size=2,
)
NEXT = st.tuples(CELLS, st.sampled_from(["", "", "a"]), NOISE)


@given(st.lists(st.integers(1, len(SECRET) - 1), min_size=1, max_size=3), st.lists(NEXT, min_size=1, max_size=4))
def test_no_stream_reads_as_a_secret_by_cell_or_in_all(cuts: list[int], how: list[tuple[str, str, list]]) -> None:
    held = HeldStreams(MASK)
    events: list[tuple[str, str, str]] = []
    for piece, (cell, lead, noise) in zip(pieces_of(SECRET, cuts), itertools.cycle(how), strict=False):
        events += [(cell, "stdout", lead + piece), *noise]
    seen: list[Message] = []
    fed: list[Message] = []
    for cell, name, text in events:
        if name == "idle":
            seen += held.settle()
        else:
            fed.append(stream(text, name, cell=cell) if text else other(name, cell))
            seen += held.feed(fed[-1])
    seen += held.flush()
    assert [each for each in seen if each.kind != "stream"] == [each for each in fed if each.kind != "stream"]
    came, told = ({cell: text_of(all_of, cell=cell) for cell in ("c1", "c2", None)} for all_of in (fed, seen))
    assert not any(SECRET in text for text in told.values())
    assert ("«" in told[None]) >= any(SECRET in text for text in came.values())
    if "«" not in told[None]:  # nothing is changed, or comes under another cell
        assert (told["c1"], told["c2"]) == (came["c1"], came["c2"])


def test_a_secret_that_a_cell_begins_and_the_next_one_ends_is_masked_in_the_first() -> None:
    held = HeldStreams(MASK)
    seen = [*held.feed(stream("plain\nsays hunter2-", cell="c1")), *held.settle()]
    assert text_of(seen) == "plain\n"
    seen += [*held.feed(stream("hunter2 and more\n", cell="c2")), *held.settle(), *held.flush()]
    assert text_of(seen, cell="c1") == "plain\nsays «secret:PASSWORD»"
    assert text_of(seen, cell="c2") == " and more\n"


def test_a_secret_that_a_thread_goes_on_with_while_the_next_cell_prints_is_masked() -> None:
    held = HeldStreams(MASK)
    seen = [*held.feed(stream("hunter2-", cell="c1")), *held.settle(), *held.feed(stream("b\n", cell="c2"))]
    assert [each.content["text"] for each in seen] == ["b\n"]
    seen = [*held.feed(stream("hunter2\n", cell="c1")), *held.flush()]
    assert text_of(seen, cell="c1") == "«secret:PASSWORD»\n"


def test_only_what_may_be_half_of_a_secret_waits_when_something_is_shown() -> None:
    held = HeldStreams(MASK)
    shown = other("display_data")
    assert [each.kind for each in [*held.feed(stream("50 %")), *held.feed(shown)]] == ["stream", "display_data"]
    assert text_of([*held.feed(stream("x" * 300 + " at h")), *held.feed(shown)]) == "x" * 300 + " at "
    assert text_of(held.feed(stream("ome\n"))) == "home\n"


@pytest.mark.parametrize("wait", [False, True])
def test_what_is_held_is_cleared_with_its_cell(*, wait: bool) -> None:
    held = HeldStreams(MASK)
    clear = other("clear_output", wait=wait)
    seen = [*held.feed(stream("gone: hunt")), *held.feed(clear), *held.feed(stream("er2-hunter2!\n"))]
    assert [each.content.get("text", each.kind) for each in seen] == ["clear_output", "«secret:PASSWORD»!\n"]
    seen = [*held.feed(stream("gone: hunt")), *held.feed(clear), *held.feed(stream("new\n")), *held.flush()]
    assert [each.content.get("text", each.kind) for each in seen] == ["clear_output", "new\n"]


def test_what_is_cleared_once_something_follows_stays_where_nothing_does() -> None:
    held = HeldStreams(MASK)
    seen = [*held.feed(stream("last: h")), *held.feed(other("clear_output", wait=True)), *held.settle(), *held.flush()]
    assert text_of(seen) == "last: h"


def test_without_holding_back_a_cut_secret_would_be_seen() -> None:
    told = "".join(MASK.mask_text(piece) for piece in (SECRET[:5], SECRET[5:]))
    assert told == SECRET


def test_streams_and_other_outputs_keep_their_order() -> None:
    held = HeldStreams(MASK)
    shown = Message("display_data", "request", "", {"data": {}}, b"{}")
    seen = [*held.feed(stream("out")), *held.feed(stream("err", "stderr")), *held.feed(shown), *held.flush()]
    assert [message.content.get("text", "shown") for message in seen] == ["out", "err", "shown"]


@given(st.integers(1, 3 * len(SECRET)), st.integers(1, len(SECRET) - 1), st.sampled_from(["", "hunter2", SECRET]))
def test_a_secret_across_the_edge_of_an_endless_line_is_masked(short: int, cut: int, before: str) -> None:
    padding = "x" * ((1 << 16) + short)
    held = HeldStreams(MASK)
    first = held.feed(stream(padding + before + SECRET[:cut]))
    told = "".join(str(m.content["text"]) for m in [*first, *held.feed(stream(SECRET[cut:] + "y")), *held.flush()])
    assert first  # the control: the line was too long to be kept back
    assert told == MASK.mask_text(padding + before + SECRET + "y")
    assert "«secret:PASSWORD»" in told


def test_an_endless_line_is_let_go_as_it_grows() -> None:
    held = HeldStreams(MASK)
    seen = [message for _ in range(100) for message in held.feed(stream("z" * 10_000))]
    assert sum(len(str(message.content["text"])) for message in seen) > 900_000


ENCODED = base64.encodebytes(b"xy" * 25 + SECRET.encode() + b"z" * 90).decode()
MIME = st.lists(st.sampled_from(["a\n", ENCODED, "x" * 20 + "\n", "q", "aHVudGVy"]), max_size=5).map("".join)


@given(MIME, st.lists(st.integers(0, 1000), max_size=8), BETWEEN)
def test_base64_in_lines_is_never_let_go_in_pieces(text: str, cuts: list[int], between: list[str]) -> None:
    seen = seen_through(pieces_of(text, cuts), between=between)
    told = "".join(str(message.content["text"]) for message in seen)
    assert told == MASK.mask_text(text)
    assert told.count("«") == text.count(ENCODED)


@pytest.mark.parametrize(
    "text", [ENCODED, ENCODED.replace("\n", "\r\n"), repr(ENCODED), pprint.pformat([ENCODED.encode()])]
)
def test_base64_in_lines_is_masked_wherever_a_cell_ends_in_it(text: str) -> None:
    whole = MASK.mask_text(text)
    assert "«" in whole
    for cut in range(len(text)):
        pieces = [text[:cut], text[cut : cut + 12], text[cut + 12 :]]
        assert text_of(seen_through(pieces, between=["idle"])) == whole, cut
        held = HeldStreams(MASK)
        seen = []
        for cell, piece in zip(("c1", "c2", "c2"), pieces, strict=True):
            seen += [*held.feed(stream(piece, cell=cell)), *held.settle()]
        told = text_of([*seen, *held.flush()])
        assert "«" in told, cut
        assert MASK.mask_text(told) == told, cut


def test_lines_are_seen_as_they_come() -> None:
    held = HeldStreams(MASK)
    for line in ("plain\n", "x" * 30 + "\n", "-" * 40 + "\n", "a,b\n"):
        assert [message.content["text"] for message in held.feed(stream(line))] == [line]
