"""Small things at the runner's rim: files written whole, paths and values shown, names made into files."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.runner.files import write_atomically
from nbprod.runner.order import display_path, plain_json
from nbprod.runner.ports import local_zone
from nbprod.runner.started import file_stem


def test_a_file_is_written_whole_with_the_umasks_rights(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "f", b"one")
    finally:
        os.umask(before)
    assert (tmp_path / "f").read_bytes() == b"one"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
    write_atomically(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"two"
    write_atomically(tmp_path / "f", b"three", mode=0o444)
    assert (tmp_path / "f").read_bytes() == b"three"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o444
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in").touch()
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "f", b"x")


def test_a_reader_sees_the_old_or_the_new_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"a" * 100_000)
    with path.open("rb") as reading:
        write_atomically(path, b"b" * 100_000)
        assert reading.read() == b"a" * 100_000
    assert path.read_bytes() == b"b" * 100_000


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/root/a/b.ipynb", "a/b.ipynb"),
        ("/root/a/../b", "b"),
        ("/srv/../etc/passwd", "/etc/passwd"),
        ("/rootless/b", "/rootless/b"),
        ("/root", "."),
    ],
)
def test_paths_are_shown_below_the_root_or_whole(path: str, text: str) -> None:
    assert display_path(Path(path), Path("/root")) == text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.just(Path("a/b")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.frozensets(st.text(max_size=2), max_size=3)
        | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=3), anything, max_size=3))
def test_papermills_metadata_is_always_json(values: dict[str, Any]) -> None:
    plain = plain_json(values)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_what_json_cannot_hold_becomes_text() -> None:
    moment = datetime(2013, 1, 2, 3, tzinfo=UTC)
    assert plain_json({"a": math.nan, "b": {3, 1}, "c": date(2013, 1, 2), "d": moment, "e": (1, Path("x"))}) == {
        "a": "nan",
        "b": [1, 3],
        "c": "2013-01-02",
        "d": "2013-01-02T03:00:00+00:00",
        "e": [1, "x"],
    }


@given(st.text(max_size=300))
def test_a_steps_name_makes_one_part_of_a_path(name: str) -> None:
    stem = file_stem(name)
    assert 0 < len(stem) <= 100
    assert Path(f"/folder/{stem}.ipynb").parent == Path("/folder")
    assert not stem.startswith(".")
    assert set(stem).isdisjoint('/\\\0\n:*?"<>|')


def test_the_zone_is_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Europe/Berlin")
    assert local_zone() == "Europe/Berlin"
    monkeypatch.delenv("TZ")
    assert local_zone()
