"""Files and folders pinned by their content."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.digest import canonical, digest_bytes
from nbprod.environment.inputs import InputRead, paths_in, pin_path

NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
TREE = st.dictionaries(
    NAME, st.binary(max_size=20) | st.dictionaries(NAME, st.binary(max_size=5), max_size=3), max_size=5
)


def plant(root: Path, tree: dict) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            plant(root / name, content)
        else:
            (root / name).write_bytes(content)
    return root


@given(TREE, TREE)
def test_folders_are_equal_exactly_if_their_content_is(
    tmp_path_factory: pytest.TempPathFactory, a: dict, b: dict
) -> None:
    base = tmp_path_factory.getbasetemp()
    one, two = pin_path(plant(base / "one", a)), pin_path(plant(base / "two", b))
    assert (one.kind, two.kind) == ("folder", "folder")
    assert (one.digest == two.digest) == (a == b)
    assert pin_path(plant(base / "elsewhere", dict(reversed(a.items())))) == one


def test_files_and_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    pinned = pin_path(tmp_path / "a")
    assert (pinned.kind, pinned.digest, pinned.size, pinned.files) == ("file", digest_bytes(b"abc"), 3, 1)
    assert pin_path(tmp_path / "link") == pinned
    assert pin_path(tmp_path / "none").kind == "missing"
    assert pin_path(tmp_path / "a" / "below").kind == "missing"
    told = InputRead(name="data", path=tmp_path / "a", pinned=pinned)
    assert json.loads(canonical(told.to_json()))["digest"] == str(pinned.digest)
    assert str(tmp_path) not in json.dumps(pinned.identity())


def test_links_are_followed_once(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {"d": {"a": b"1"}, "other": {}})
    (root / "d" / "up").symlink_to("..")
    (root / "d" / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    (root / "outside").symlink_to(plant(tmp_path / "outside", {"b": b"2"}))
    (root / "twin").symlink_to("d")
    before = pin_path(root)
    assert (before.kind, before.files, before.size) == ("folder", 2, 2)
    (tmp_path / "outside" / "b").write_bytes(b"3")
    assert pin_path(root).digest != before.digest


def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in pin_path(tmp_path / "pipe").reason
    assert "device" in pin_path(Path("/dev/null")).reason
    inside = pin_path(tmp_path)
    assert (inside.kind, inside.files) == ("folder", 0)
    (tmp_path / "pipe").unlink()
    assert pin_path(tmp_path).digest != inside.digest


def test_limits(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {"a": b"12", "b": b"34"})
    assert pin_path(root, max_files=2, max_bytes=4).kind == "folder"
    assert pin_path(root, max_files=1).reason == "more than 1 files"
    assert pin_path(root, max_bytes=3).reason == "more than 3 bytes"
    assert pin_path(root / "a", max_bytes=1).kind == "file"


def test_names_that_are_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"1")
    assert pin_path(tmp_path).kind == "folder"


def test_a_file_that_changes_while_it_is_read_stays_unpinned(tmp_path: Path) -> None:
    path = tmp_path / "busy"
    path.write_bytes(bytes(64 << 20))
    assert pin_path(path).kind == "file"  # the control: it does not change
    stop = threading.Event()

    def write() -> None:
        with path.open("ab") as stream:
            while not stop.is_set():
                stream.write(b"x")
                stream.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert "changed" in pin_path(path).reason
        assert "changed" in pin_path(tmp_path).reason
    finally:
        stop.set()
        writer.join()


def test_paths_in_parameters(tmp_path: Path) -> None:
    plant(tmp_path / "data", {"a.csv": b"1", "b.csv": b"2"})
    parameters = {
        "model": Path("model.skops"),
        "declared": "plain",
        "table": "data/a.csv",
        "absent": "data/none.csv",
        "word": "data",
        "url": "https://example.org/data",
        "many": ["data/a.csv", 3, {"k": "data/b.csv"}],
        "options": (Path("x"), None),
        "odd": "a/\0",
        "long": "a/" * 5000,
        "number": 1,
    }
    assert paths_in(parameters, {"declared"}, tmp_path) == [
        ("model", tmp_path / "model.skops"),
        ("declared", tmp_path / "plain"),
        ("table", tmp_path / "data/a.csv"),
        ("many[0]", tmp_path / "data/a.csv"),
        ("many[2]['k']", tmp_path / "data/b.csv"),
        ("options[0]", tmp_path / "x"),
    ]
    assert paths_in({"set": {"data/b.csv", "data/a.csv"}}, set(), tmp_path)[0][0] == "set[data/a.csv]"
