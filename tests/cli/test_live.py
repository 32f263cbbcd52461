"""What is shown while a run goes on."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nbprod.cli.live import Lines, LiveRun
from nbprod.cli.screen import Screen
from nbprod.execution.events import CellFinished, CellStarted, KernelReady, StreamText
from nbprod.record.status import CellStatus
from nbprod.record.verdict import CellOutcome


@given(st.lists(st.text(alphabet="ab\n\r\x1b[é", max_size=6), max_size=12))
def test_lines_do_not_depend_on_the_pieces_they_come_in(pieces):
    lines = Lines()
    shown = [line for piece in pieces for line in lines.add(0, "stdout", piece)]
    shown += [line for _, line in lines.flush(0)]
    whole = Lines()
    expected = whole.add(0, "stdout", "".join(pieces)) + [line for _, line in whole.flush(0)]
    assert shown == expected


def test_a_line_that_was_written_over_shows_its_last_state():
    lines = Lines()
    assert lines.add(1, "stderr", "10%\r20%\r") == []
    assert lines.add(1, "stderr", "100%\ndone\r\n") == ["100%", "done"]


def test_cells_and_streams_do_not_mix():
    lines = Lines()
    assert lines.add(1, "stdout", "a") == lines.add(1, "stderr", "b") == lines.add(2, "stdout", "c") == []
    assert lines.flush(1) == [("stdout", "a"), ("stderr", "b")]
    assert lines.rest() == [(2, "stdout", "c")]
    assert lines.rest() == []


def outcome(cell):
    return CellOutcome(cell=cell, status=CellStatus.OK)


def hear(*events, **how):
    console = Console(file=io.StringIO(), width=80)
    live = LiveRun(console, **{"lines": True, "bar": False, **how})
    for event in events:
        live(event)
    return console.file.getvalue()


def test_lines_stand_behind_their_cells_number():
    shown = hear(
        KernelReady(seconds=0.1, total=2),
        StreamText(cell=None, name="stdout", text="injected\n"),
        StreamText(cell=3, name="stdout", text="one\ntw"),
        StreamText(cell=3, name="stdout", text="o\nunfinished [red]"),
        CellFinished(outcome=outcome(3), done=2, total=2),
    )
    assert shown == "[p] injected\n[3] one\n[3] two\n[3] unfinished [red]\n"


def test_a_long_line_is_not_folded():
    assert hear(StreamText(cell=0, name="stdout", text="x" * 300 + "\n")) == "[0] " + "x" * 300 + "\n"


def test_without_lines_nothing_is_shown():
    assert hear(StreamText(cell=3, name="stdout", text="one\n"), lines=False) == ""


def test_streams_go_to_their_files_as_they_come():
    out, err = io.StringIO(), io.StringIO()
    events = [StreamText(cell=0, name=name, text=f"{name}\r\x1b[1m") for name in ("stdout", "stderr")]
    hear(*events, lines=False, stdout=out, stderr=err)
    assert (out.getvalue(), err.getvalue()) == ("stdout\r\x1b[1m", "stderr\r\x1b[1m")


def test_a_bar_shows_cells_done_of_all_and_the_heading():
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    live = LiveRun(console, lines=False, bar=True)
    with live.shown("train"):
        live(KernelReady(seconds=0.1, total=4))
        live(CellFinished(outcome=outcome(1), done=1, total=4))
        live(CellStarted(cell=2, label="Fit [the] model", done=1, total=4))
        live._progress.refresh()
    shown = console.file.getvalue()
    for part in ("train", "1/4", "cell 2", "Fit [the] model"):
        assert part in shown


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _):
        raise BrokenPipeError


def test_a_run_goes_on_when_nobody_looks_any_more():
    event = StreamText(cell=0, name="stdout", text="one\n")
    live = LiveRun(Screen(file=Gone()), lines=True, bar=True)
    with live.shown("train"):
        live(event)
        live(event)
        live.say("nobody hears this")
    with pytest.raises(BrokenPipeError):  # the control: showing it would have raised
        LiveRun(Screen(file=Gone()), lines=True, bar=False)._show(event)


def test_a_file_that_cannot_be_written_is_told_once(tmp_path):
    out = Console(file=io.StringIO(), width=120)
    live = LiveRun(out, lines=False, bar=False, stdout=Gone())
    for _ in range(3):
        live(StreamText(cell=0, name="stdout", text="x"))
    assert out.file.getvalue().count("no longer written") == 1
