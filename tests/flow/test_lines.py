"""Streams cut into lines."""

from __future__ import annotations

from nbprod.flow.lines import Lines


def test_lines_are_whole_and_know_their_cell():
    lines = Lines()
    assert lines.add(3, "stdout", "one\ntw") == [(3, "one")]
    assert lines.add(3, "stderr", "oops\n") == [(3, "oops")]
    assert lines.add(3, "stdout", "o\n\nthree") == [(3, "two")]
    assert lines.end() == [(3, "three")]
    assert lines.end() == []


def test_a_redrawn_bar_is_its_last_state():
    lines = Lines()
    assert lines.add(None, "stderr", "10 %\r20 %\r") == []
    assert lines.add(None, "stderr", "99 %\r100 %\n") == [(None, "100 %")]


def test_an_endless_bar_is_not_kept_whole():
    lines = Lines()
    for _ in range(1000):
        lines.add(1, "stderr", "x" * 100 + "\r")
    assert sum(len(text) for text in lines._open.values()) <= 4000


def test_a_long_line_is_cut():
    [(_, line)] = Lines().add(1, "stdout", "x" * 5000 + "\n")
    assert line.endswith("(1000 characters more)")
