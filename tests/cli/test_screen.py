"""Tables fit the terminal."""

import io

import pytest

from nbprod.cli import screen
from nbprod.cli.progress import counting
from nbprod.cli.screen import Screen, print_rows

COLUMNS = ("run", "took", "name", "reason")
ROWS = [("[cyan]abcd1234[/]", "1.0 s", "", "a reason that goes on for forty columns.."), ("x", "12.5 s", "", "")]


@pytest.fixture
def printed(monkeypatch):
    def at(width, **how):
        console = Screen(file=io.StringIO(), width=width, highlight=False)
        monkeypatch.setattr(screen, "output", lambda: console)
        print_rows(COLUMNS, ROWS, **how)
        return [line.rstrip() for line in console.file.getvalue().splitlines()]

    return at


def test_empty_columns_are_left_out_and_durations_stand_right(printed):
    assert printed(100, yielding=("reason",)) == [
        "run         took  reason",
        "abcd1234   1.0 s  a reason that goes on for forty columns..",
        "x         12.5 s",
    ]


def test_a_column_yields_where_the_terminal_is_narrow(printed):
    head, first, _ = printed(44, yielding=("reason", "name"))
    assert head.split() == ["run", "took", "reason"]
    assert first.endswith("…")
    assert len(first) <= 44


def test_what_would_be_cut_to_nothing_is_left_out(printed):
    assert printed(30, yielding=("reason", "name"))[0].split() == ["run", "took"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)], ids=["terminal", "pipe"])
def test_progress_is_for_terminals(monkeypatch, stream, shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr", written := stream())
    with counting("runs compared", "objects looked at") as (compared, looked):
        compared(1200)
        looked(34)
    text = written.getvalue()
    assert ("1,200 runs compared" in text and "34 objects looked at" in text) == shown
    assert bool(text) == shown
