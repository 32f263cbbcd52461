"""Writing bundles: names, whatever artifacts and inputs are called; large objects, and spoilt ones."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from nbprod.bundle import RunEntry, open_bundle
from nbprod.bundle.archive import DEFLATED_MOST, is_plain
from nbprod.bundle.writer import Contents, refuse_target, write_bundle
from nbprod.cli.app import nbprod
from nbprod.digest import digest_bytes
from nbprod.errors import CallerError, DigestMismatch
from nbprod.record.ids import RunId
from nbprod.store import LocalStore

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
DIGESTS = [digest_bytes(bytes([number])) for number in range(8)]


@given(names=st.lists(st.text(min_size=1, max_size=200), min_size=8, max_size=8))
def test_every_name_becomes_a_plain_one_of_its_own(names: list[str]) -> None:
    contents = Contents(made_by="test")
    for name, digest in zip(names, DIGESTS, strict=True):
        contents.add_object(f"runs/{'x' * 36}/inputs/{name}", digest, 1, name)
        contents.add_object("again", digest, 1, name)
    made = list(contents.kept)
    assert len({name.lower() for name in made}) == len(DIGESTS)
    assert all(map(is_plain, made)), made
    assert all(name.startswith(f"runs/{'x' * 36}/inputs") for name in made)


def test_a_deep_path_keeps_its_beginning_and_its_end() -> None:
    contents = Contents(made_by="test")
    contents.add_object("runs/R/inputs/a/b/c/d/e/f/g.csv", DIGESTS[0], 1, "deep")
    contents.add_object("runs/R/inputs/x/../../y", DIGESTS[1], 1, "out")
    assert list(contents.kept) == ["runs/R/inputs/c/d/e/f/g.csv", "runs/R/inputs/x/_/_/y"]


def test_large_objects_stand_as_they_are(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    data = b"\0" * (DEFLATED_MOST + 1)
    large, small = store.put(data), store.put(data[:-1])
    contents = Contents(made_by="test", runs=[RunEntry(run=RunId.new(MOMENT, bytes(10)), step="s", record=small)])
    contents.add_object("runs/R/large", large, len(data), "large")
    contents.add_object("runs/R/small", small, len(data) - 1, "small")
    written = write_bundle(tmp_path / "made.zip", contents, store)
    assert len(data) < written < len(data) + (1 << 20)
    with open_bundle(tmp_path / "made.zip") as bundle:
        assert list(bundle.faults()) == []
        assert bundle.read(large) == data
        bundle.store.copy_to(small, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data[:-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "made.zip", "store"]


def test_what_is_spoilt_in_the_store_is_not_exported(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    for size in (10, 5 << 20):  # read at once, and by way of a file
        digest = store.put(b"x" * size)
        path = tmp_path / "store" / "objects" / digest.hex[:2] / digest.hex[2:]
        path.chmod(0o644)
        path.write_bytes(b"y" * size)
        contents = Contents(made_by="test", runs=[RunEntry(run=RunId.new(MOMENT, bytes(10)), step="s", record=digest)])
        contents.add_object("runs/R/spoilt", digest, size, "spoilt")
        with pytest.raises(DigestMismatch):
            write_bundle(tmp_path / "made.zip", contents, store)
        assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_or_device_is_never_replaced_by_a_bundle(tmp_path: Path, *, linked: bool) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for force in (True, False):
        with pytest.raises(CallerError, match="device, pipe"):
            refuse_target(link if linked else pipe, force=force)
    (tmp_path / "file").touch()
    refuse_target(tmp_path / "file", force=True)  # positive control


def test_a_bundle_is_not_written_to_a_file_called_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(nbprod, ["export", "train@latest", "-o", "-"])
    assert done.exit_code == 2
    assert "-o FILE" in done.output
    assert list(tmp_path.iterdir()) == []
