"""No text of a notebook's or of a person's drives the terminal, or hides in it."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.cli.screen import json_text, text
from nbprod.printable import printable

SEQUENCES = {
    "colour": "\x1b[31;1m",
    "clear": "\x1b[2J",
    "private": "\x1b[?1049h",
    "eight bits": "\x9b31m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://e\x1b\\",
    "link of eight bits": "\x9d8;;http://e\x9c",
    "device": "\x1bP1$r\x1b\\",
    "message": "\x1b_x\x1b\\",
    "reset": "\x1bc",
    "character set": "\x1b(0",
}


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_escape_sequences_leave_nothing_behind(sequence):
    assert printable(f"a{sequence}b") == "ab"
    assert text(f"[a]{sequence}b") == "\\[a]b"  # as every table shows it


@pytest.mark.parametrize(
    "letter", ["\x00", "\x07", "\b", "\r", "\x7f", "\x85", "\x1b", "\x9b", "\u202e", "\u2066", "\ud800"]
)
def test_what_cannot_be_seen_is_marked(letter):
    assert printable(f"a{letter}") == "a\ufffd"
    assert printable(f"a{letter}", instead="") == "a"


def test_letters_lines_and_tabs_stay():
    words = "a\tü漢\n🙂 👩\u200d🚀 क\u200cष"
    assert printable(words) == words


PIECES = st.lists(
    st.sampled_from([*SEQUENCES.values(), "\x1b", "\x9d", "[", "]", "8;;", "a", "\n", "\u202e"]), max_size=9
)


@given(st.one_of(st.text(), PIECES.map("".join)))
def test_nothing_that_is_left_can_drive(given):
    shown = printable(given)
    assert all(letter.isprintable() or letter in "\n\t\u200c\u200d" for letter in shown)
    assert printable(shown) == shown
    assert json.loads(json_text([given])) == [given]
    assert not {*json_text(given)} & {*map(chr, range(0x7F, 0xA0)), "\u202e", "\x1b"}


def test_no_text_takes_long():
    for opening in ("\x1b]", "\x9d", "\x1b[", "\x1b ", "\x9b1", "\x1bP"):
        start = time.process_time()
        printable(opening * 100_000)
        assert time.process_time() - start < 2
