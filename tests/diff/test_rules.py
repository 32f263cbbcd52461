"""What the rules take away from outputs, and what they must not hide."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nbprod.diff.outcome import Outcome
from nbprod.diff.outputs import compare_outputs
from nbprod.diff.pictures import picture_of, pixels_apart
from nbprod.diff.pieces import Piece, pieces_of
from nbprod.diff.rules import RULES, normalised, rules_needed
from nbprod.diff.side import Own
from nbprod.diff.tolerance import Tolerance

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
FIRST = Own(
    run_id="01890000-0000-7000-8000-00000000000a",
    places={"/srv/p/.nbprod/runs/01890000-0000-7000-8000-00000000000a/output": "output_dir"},
    started=START,
    finished=START + timedelta(seconds=90),
)
SECOND = Own(
    run_id="01890000-0000-7000-8000-00000000000b",
    places={"/mnt/q/out": "output_dir"},
    started=START + timedelta(days=40),
    finished=START + timedelta(days=40, minutes=3),
    zone=timezone(timedelta(hours=2)),
)
NAMES = [rule.name for rule in RULES]


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def shown(mime: str, body: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": {mime: body}}


def compare(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> tuple[Outcome, tuple[str, ...]]:
    outcome, rules, changes = compare_outputs((before, FIRST), (after, SECOND), Tolerance())
    assert bool(changes) is (outcome is Outcome.DIFFERENT)
    return outcome, rules


def png(colour: int, *, text: str | None = None, mode: str = "RGB", level: int = 6, size: int = 4) -> bytes:
    data, about = io.BytesIO(), PngInfo()
    if text is not None:
        about.add_text("Software", text)
    Image.new(mode, (size, 4), colour).save(data, "png", pnginfo=about, compress_level=level)
    return data.getvalue()


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


BAR = "100%|██████████| 20/20 [00:01<00:00, 12.3it/s, loss=0.5]\n"
SAME = {
    "order of stdout and stderr": (
        [stream("a\n"), stream("w\n", "stderr"), stream("b\n")],
        [stream("a\nb\n"), stream("w\n", "stderr")],
    ),
    "colours of errors": (
        [{"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["\x1b[31mCell\x1b[39m", "E: x"]}],
        [{"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["Cell", "\x1b[0;31mE\x1b[0m: x"]}],
    ),
    "progress bars": (
        [
            stream(
                f"\r  0%|          | 0/20 [00:00<?, ?it/s]\r 40%|████      | 8/20 [00:00<00:01, 9.1it/s]\r{BAR}",
                "stderr",
            )
        ],
        [stream(f"\r  0%|          | 0/20 [00:00<?, ?it/s]\r{BAR.replace('12.3it/s', '1.25s/it')}", "stderr")],
    ),
    "measured durations": (
        [stream("CPU times: user 1.5 ms, sys: 2 µs, total: 1.5 ms\nWall time: 1min 3s\n")],
        [stream("CPU times: user 12 s, sys: 0 ns, total: 12 s\nWall time: 5.01 µs\n")],
    ),
    "the run's own places": (
        [stream(f"wrote {next(iter(FIRST.places))}/m.bin for {FIRST.run_id}\n")],
        [stream(f"wrote {next(iter(SECOND.places))}/m.bin for {SECOND.run_id}\n")],
    ),
    "times during the run": (
        [stream("2026-03-01 12:00:10,123 INFO begun\nSun Mar  1 12:01:00 2026\n2026-03-01T12:00:05Z\n")],
        [stream("2026-04-10 14:01:10,523 INFO begun\nFri Apr 10 12:02:59 2026\n2026-04-10T14:00:05+02:00\n")],
    ),
    "temporary names": (
        [stream("/tmp/tmpab12cd_4/x /tmp/tmpab12cd_4/y /tmp/ipykernel_77/123.py:3: UserWarning\n")],
        [stream("/tmp/tmpzzzzzzzz/x /tmp/tmpzzzzzzzz/y /tmp/ipykernel_9/123.py:3: UserWarning\n")],
    ),
    "memory addresses": (
        [shown("text/plain", "[<A at 0x7f10aa>, <B object at 0x7f10bb>, <A at 0x7f10aa>]")],
        [shown("text/plain", "[<A at 0x55cc11>, <B object at 0x55cc00>, <A at 0x55cc11>]")],
    ),
    "ids in HTML": (
        [shown("text/html", '<style>#T_ab12c_row0 {}</style><table id="T_ab12c"><td id="T_ab12c_row0">1</td></table>')],
        [shown("text/html", '<style>#T_99fee_row0 {}</style><table id="T_99fee"><td id="T_99fee_row0">1</td></table>')],
    ),
    "ids of widgets": (
        [shown("application/vnd.jupyter.widget-view+json", {"model_id": "a" * 32, "version_major": 2})],
        [shown("application/vnd.jupyter.widget-view+json", {"model_id": "b" * 32, "version_major": 2})],
    ),
    "execution counts in errors": (
        [{"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["Cell In[3], line 1", "E: x"]}],
        [{"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["Cell In[4], line 1", "E: x"]}],
    ),
    "pixels of pictures": (
        [shown("image/png", packed(png(7, text="Matplotlib 3.10")) + "\n")],
        [shown("image/png", packed(png(7, text="Matplotlib 3.11", level=1)))],
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_takes_away_what_it_is_for_and_is_named(name):
    before, after = SAME[name]
    assert compare(before, after) == (Outcome.NORMALISED, (name,))
    assert compare(after=before, before=before) == (Outcome.EQUAL, ())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (stream("a\nb\n"), stream("b\na\n")),
        (stream("w\n"), stream("w\n", "stderr")),
        (stream("{'a', 'b'}"), stream("{'b', 'a'}")),
        (stream("the hash is 0xdeadbeef"), stream("the hash is 0xdeadbee0")),
        (stream("look at 0xdeadbeef"), stream("look at 0xdeadbee0")),
        (stream("[<A at 0x7f10aa>, <A at 0x7f10aa>]"), stream("[<A at 0x7f10aa>, <A at 0x7f10bb>]")),
        (stream("1402349887"), stream("1402349888")),
        (stream("2026-02-01 12:00:10"), stream("2026-02-01 12:00:11")),
        (stream("2026-03-01"), stream("2026-03-02")),
        (stream("took 1.5 s"), stream("took 2.5 s")),
        (stream("Wall time: none"), stream("Wall time: some")),
        (stream(BAR), stream(BAR.replace("loss=0.5", "loss=0.6"))),
        (stream(BAR), stream(BAR.replace("20/20", "19/20"))),
        (stream("x\ry\n"), stream("z\ry\n")),
        (stream("/tmp/a/b"), stream("/tmp/a/c")),
        (stream("/tmp/tmpab12cd_4/x"), stream("/tmp/tmpab12cd_4/y")),
        (stream("/tmp/tmpaaaaaaaa /tmp/tmpaaaaaaaa"), stream("/tmp/tmpaaaaaaaa /tmp/tmpbbbbbbbb")),
        (stream("/srv/p/.nbprod/runs"), stream("/mnt/q")),
        (shown("text/html", "<td>T_ab12c</td>"), shown("text/html", "<td>T_ab12d</td>")),
        (shown("text/plain", "<td id='T_ab12c'>"), shown("text/plain", "<td id='T_ab12d'>")),
        (shown("text/html", '<p id="T_ab12c">T_00000</p>'), shown("text/html", '<p id="T_ab12d">T_00001</p>')),
        (shown("image/png", packed(png(7))), shown("image/png", packed(png(8)))),
        (shown("image/png", packed(png(7))), shown("image/png", packed(png(7, size=5)))),
        (shown("application/json", {"a": 1}), shown("application/json", {"a": 1.0})),
        (shown("text/plain", "1"), {**shown("text/plain", "1"), "metadata": {"isolated": True}}),
    ],
    ids=lambda output: str(output.get("text", output.get("data")))[:40],
)
def test_what_the_rules_must_not_hide(before, after):
    assert compare([before], [after])[0] is Outcome.DIFFERENT
    assert compare([after], [before])[0] is Outcome.DIFFERENT


FRAGMENTS = st.sampled_from(
    [
        "<A at 0x7f10aa>", "<B object at 0x7f10bb>", "0x7f10aa", "/tmp/tmpab12cd_4", "tmpab12cd_4",
        "2026-03-01 12:00:10",
        "2026-01-01T00:00:00Z", "Sun Mar  1 12:00:30 2026", "Wall time: 1.5 s", "\n", "\r", BAR, "text", "7",
        "CPU times: user 1 s, sys: 1 s, total: 2 s\n", FIRST.run_id, *FIRST.places, '<i id="T_ab12c">', "T_ab12c",
        "In[3]", " ", "<", "&lt;x at 0x123456&gt;", "sk-container-id-1", 'id="sk-container-id-1"', "3s 2ms/step",
    ]
)  # fmt: skip
TEXTS = st.lists(FRAGMENTS, max_size=8).map("".join)
OUTPUTS = st.lists(
    st.one_of(
        st.builds(stream, TEXTS, st.sampled_from(["stdout", "stderr"])),
        st.builds(shown, st.sampled_from(["text/html", "text/plain", "image/svg+xml"]), TEXTS),
    ),
    max_size=4,
)


@given(OUTPUTS)
def test_rules_applied_twice_change_nothing_more(outputs):
    once = normalised(pieces_of(outputs), FIRST)
    assert normalised(once, FIRST) == once


@given(OUTPUTS, OUTPUTS)
def test_which_run_comes_first_makes_no_difference(before, after):
    pieces = (pieces_of(before), FIRST), (pieces_of(after), SECOND)
    assert rules_needed(*pieces) == rules_needed(*reversed(pieces))


@given(OUTPUTS, st.integers(0, 3), st.text("abcxyz", min_size=1, max_size=4))
def test_a_planted_word_is_never_hidden(outputs, place, word):
    planted = [dict(output) for output in outputs] or [stream("")]
    output = planted[place % len(planted)]
    key = "text" if "text" in output else "data"
    if key == "text":
        output["text"] += f" {word}!"
    else:
        output["data"] = {mime: f"{body} {word}!" for mime, body in output["data"].items()}
    assert compare(outputs, planted)[0] is Outcome.DIFFERENT


def test_streams_in_many_messages_are_one():
    parts, whole = [stream("a"), stream("b\n"), stream("c")], [stream("ab\nc")]
    assert compare(parts, whole) == (Outcome.EQUAL, ())
    assert pieces_of([stream(["a\n", "b"])]) == (Piece(output=0, kind="stdout", body="a\nb"),)


def test_execution_counts_of_results_do_not_count():
    outputs = [
        {"output_type": "execute_result", "data": {"text/plain": "1"}, "metadata": {}, "execution_count": n}
        for n in (1, 2)
    ]
    assert compare(outputs[:1], outputs[1:]) == (Outcome.EQUAL, ())


@given(st.text("ab\n", max_size=4), st.text("ab\n", max_size=4))
def test_of_an_error_both_what_and_where_count(value, frames):
    error = {"output_type": "error", "ename": "E", "evalue": "a", "traceback": ["b"]}
    other = {**error, "evalue": value, "traceback": frames.split("\n")}
    assert compare([error], [other])[0] is (Outcome.EQUAL if (value, frames) == ("a", "b") else Outcome.DIFFERENT)


def test_a_scrap_in_an_output_is_held_to_its_tolerance():
    def glued(value: Any) -> list[dict[str, Any]]:
        body = {"name": "auc", "data": value, "encoder": "json", "version": 1}
        about = {"scrapbook": {"name": "auc", "data": True, "display": False}}
        return [{**shown("application/scrapbook.scrap.json+json", body), "metadata": about}]

    assert compare(glued(0.5), glued(0.5 + 1e-12)) == (Outcome.NORMALISED, ("tolerance of scraps",))
    assert compare(glued(0.5), glued(0.6))[0] is Outcome.DIFFERENT


@given(st.integers(0, 255), st.integers(0, 255))
def test_pictures_are_told_by_their_pixels(one, other):
    before, after = png(one, text="a"), png(other, text="b", level=0)
    assert (picture_of(before) == picture_of(after)) is (one == other)
    assert pixels_apart(before, after) == (0 if one == other else 1)


def test_deep_colours_palettes_and_animations_are_not_flattened():
    deep = [Image.new("I;16", (2, 2), 256 + n) for n in range(2)]
    files = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    for image, file in zip(deep, files, strict=False):
        image.save(file, "png")
    assert picture_of(files[0].getvalue()) != picture_of(files[1].getvalue())  # alike in their upper eight bits
    frames = [Image.new("RGB", (2, 2), n) for n in (1, 2)]
    frames[0].save(files[2], "png", save_all=True, append_images=frames[1:])
    assert picture_of(files[2].getvalue()) is None


@given(st.binary(max_size=60), st.integers(0, 60))
def test_broken_pictures_are_none(noise, cut):
    whole = png(3)
    assert picture_of(noise) is None
    assert picture_of(whole[:cut]) is None
    broken = bytearray(whole)
    broken[cut % len(whole)] ^= 0x5A
    assert picture_of(bytes(broken)) != picture_of(whole)


def test_pixels_without_pillow(monkeypatch):
    monkeypatch.setattr("nbprod.diff.pictures.find_spec", lambda name: None)
    before, after = (picture_of(png(7, text=text)) for text in ("a", "b"))
    assert before == after != picture_of(png(8))
    assert pixels_apart(png(7), png(8)) is None
