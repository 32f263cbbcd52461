"""Files that are sent beside the cells: only what rests, not for ever, and never in the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import StoreUnreachable
from nbprod.runner import early
from nbprod.runner.early import EarlyUploads
from nbprod.store import SpoolingStore
from nbprod.store.memory import MemoryStore
from nbprod.store.spool import Spool
from tests.processes import eventually


class Remote(MemoryStore):
    """Notes which files it was given, and refuses them while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []
        self.broken = False

    def put_file(self, path: Path) -> tuple[Digest, int]:
        self.given.append(path.name)
        if self.broken:
            raise StoreUnreachable("away")
        return super().put_file(path)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let time pass: two looks at the folder, at least."""
    monkeypatch.setattr(early, "INTERVAL", 0.01)
    count = [0]
    states = early._states

    def counted(folder: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
        count[0] += 1
        return states(folder)

    monkeypatch.setattr(early, "_states", counted)

    def pass_by() -> None:
        before = count[0]
        assert eventually(lambda: count[0] >= before + 3)

    return pass_by


def test_what_rests_is_sent_and_nothing_is_kept_here(tmp_path: Path, looks: Callable[[], None]) -> None:
    (out := tmp_path / "out").mkdir()
    (out / "sub").mkdir()
    store = SpoolingStore(Remote(), spool := Spool(tmp_path / "spool"))
    with EarlyUploads(store, out):
        (out / "sub" / "model.bin").write_bytes(b"model")
        (out / "link").symlink_to(out / "sub" / "model.bin")
        os.mkfifo(out / "pipe")
        assert eventually(lambda: store.remote.has(digest_bytes(b"model")))
        looks()
    assert store.remote.given == ["model.bin"]
    assert list(spool.digests()) == []


def test_a_file_that_goes_on_changing_is_left_for_the_end(tmp_path: Path, looks: Callable[[], None]) -> None:
    remote = Remote()
    with EarlyUploads(SpoolingStore(remote, Spool(tmp_path / "spool")), tmp_path), (tmp_path / "log").open("wb") as log:
        for size in range(1, 6):
            log.write(b"x")
            log.flush()
            looks()
            assert remote.given == ["log"] * min(size, 2)


def test_what_vanishes_is_no_obstacle(tmp_path: Path, looks: Callable[[], None]) -> None:
    class Removing(Remote):
        def put_file(self, path: Path) -> tuple[Digest, int]:
            path.unlink()
            return super().put_file(path)

    remote = Removing()
    with EarlyUploads(SpoolingStore(remote, Spool(tmp_path / "spool")), tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(b"")
            assert eventually(lambda name=name: name in remote.given)


def test_a_broken_link_ends_it_at_once(tmp_path: Path, looks: Callable[[], None]) -> None:
    remote = Remote()
    remote.broken = True
    store = SpoolingStore(remote, spool := Spool(tmp_path / "spool"))
    (out := tmp_path / "out").mkdir()
    with EarlyUploads(store, out) as uploads:
        for name in ("a", "b"):
            (out / name).write_bytes(b"")
        assert eventually(lambda: not uploads._thread.is_alive())
    assert len(remote.given) == 1
    assert list(spool.digests()) == []
    remote.broken = False
    store.put(b"")  # the link is not taken for broken by those who put
    assert list(spool.digests()) == []


def test_a_store_on_this_machine_is_left_alone(tmp_path: Path) -> None:
    with EarlyUploads(MemoryStore(), tmp_path) as uploads:
        assert not uploads._thread.is_alive()
