"""What only a store in a folder can get wrong: the disk, rights, and processes that die."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nbprod.digest import digest_bytes
from nbprod.errors import DigestMismatch, ObjectUnreadable, StoreUnavailable
from nbprod.store import LocalStore
from tests.tally import counting, kills_of

NOBODY = 65534


@contextmanager
def without_rights() -> Iterator[None]:
    """Be somebody whom file modes bind: root is asked for none."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with room for 256 KiB."""
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "none", tmp_path], check=False).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def temporaries(root: Path) -> list[str]:
    return [path.name for path in (root / "tmp").iterdir()]


def test_layout_and_rights(tmp_path: Path) -> None:
    digest = LocalStore(tmp_path).put(b"x")
    path = tmp_path / "objects" / digest.hex[:2] / digest.hex[2:]
    assert path.read_bytes() == b"x"
    assert path.stat().st_mode & 0o777 == 0o444
    assert temporaries(tmp_path) == []


def test_bytes_are_synced_before_their_name_and_the_name_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    store.put(b"prepared")
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def spy_fsync(descriptor: int) -> None:
        steps.append("sync " + os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path).split("/")[0])
        fsync(descriptor)

    def spy_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "rename", spy_rename)
    store.put(b"x")
    assert steps == ["sync tmp", "rename", "sync objects", "sync objects"]
    steps.clear()
    store.put(b"x")
    assert steps == ["sync objects", "sync objects"]  # another writer may not have got so far


def test_a_quarantined_object_has_a_note(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    store = LocalStore(tmp_path, clock=lambda: now)
    digest = store.put(b"good")
    path = tmp_path / "objects" / digest.hex[:2] / digest.hex[2:]
    path.chmod(0o644)
    path.write_bytes(b"bad")
    with pytest.raises(DigestMismatch):
        store.get(digest)
    (note,) = (tmp_path / "quarantine").glob("*.json")
    said = json.loads(note.read_text())
    assert (said["object"], said["found"], said["size"]) == (str(digest), str(digest_bytes(b"bad")), 3)
    assert said["quarantined"] == now.isoformat()


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


NO_FILES = [(os.mkfifo, "a pipe"), (os.mkdir, "a folder"), (link_to_itself, "a link that leads to itself")]


@pytest.mark.parametrize(("make", "kind"), NO_FILES, ids=["pipe", "folder", "link"])
@pytest.mark.parametrize("way", ["get", "copy_to", "put"])
def test_what_is_no_file_is_no_object(tmp_path: Path, make: Callable[[Path], None], kind: str, way: str) -> None:
    store = LocalStore(tmp_path / "store")
    digest = store.put(b"good")
    path = tmp_path / "store/objects" / digest.hex[:2] / digest.hex[2:]
    path.unlink()
    make(path)
    assert store.size(digest) == 0
    ask: dict[str, Callable[[], object]] = {
        "get": lambda: store.get(digest),
        "copy_to": lambda: store.copy_to(digest, tmp_path / "copy"),
        "put": lambda: store.put(b"good"),
    }
    with pytest.raises(DigestMismatch, match=kind):
        ask[way]()
    assert [found.parent.name for found in store.quarantined()] == ["quarantine"]
    store.put(b"good")
    ask[way]()  # positive control: the road is free again


def test_one_object_out_of_reach_is_not_the_whole_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "store")
    digest, other = store.put(b"good"), store.put(b"other")
    shard = tmp_path / "store/objects" / digest.hex[:2]
    kept, opened = shard / digest.hex[2:], os.open

    def without_rights(name: str, *rest: int) -> int:
        if name == str(kept):
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return opened(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", without_rights)
        with pytest.raises(ObjectUnreadable, match=f"missing rights at {kept}"):
            store.get(digest)
        assert store.get(other) == b"other"
    assert store.get(digest) == b"good"
    shard.rename(tmp_path / "shard")
    shard.write_bytes(b"a file")
    with pytest.raises(DigestMismatch, match=f"a file where a folder should be at {kept}"):
        store.check(digest)
    assert store.get(other) == b"other"
    (tmp_path / "store/objects").rename(tmp_path / "objects")
    (tmp_path / "store/objects").write_bytes(b"a file")
    with pytest.raises(StoreUnavailable) as found:
        store.get(other)
    assert type(found.value) is StoreUnavailable


def test_stale_temporary_files_go_and_fresh_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    old, fresh = tmp_path / "tmp" / "old", tmp_path / "tmp" / "fresh"
    for path, age in ((old, timedelta(days=2)), (fresh, timedelta(hours=1))):
        path.write_bytes(b"half")
        then = (datetime.now(UTC) - age).timestamp()
        os.utime(path, (then, then))
    LocalStore(tmp_path).put(b"x")
    assert temporaries(tmp_path) == ["fresh"]


def test_foreign_files_are_no_objects(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    digest = store.put(b"x")
    (tmp_path / "objects" / ".DS_Store").write_bytes(b"")
    (tmp_path / "objects" / digest.hex[:2] / "README~").write_bytes(b"")
    assert list(store.digests()) == [digest]


def test_a_full_disk(small_disk: Path) -> None:
    store = LocalStore(small_disk / "store")
    kept = store.put(b"x" * 1000)
    big = small_disk.parent / f"{small_disk.name}.big"
    big.write_bytes(os.urandom(1 << 20))
    for put in (lambda: store.put(big.read_bytes()), lambda: store.put_file(big)):
        with pytest.raises(StoreUnavailable, match=r"full disk.*Free some space"):
            put()
    assert temporaries(small_disk / "store") == []
    assert list(store.digests()) == [kept]
    assert store.get(store.put(b"still room")) == b"still room"  # positive control


def test_a_read_only_file_system(small_disk: Path) -> None:
    store = LocalStore(small_disk / "store")
    digest = store.put(b"x")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert LocalStore(small_disk / "store").get(digest) == b"x"
    with pytest.raises(StoreUnavailable, match="read-only file system"):
        store.put(b"y")


def test_missing_rights(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o500)
    with without_rights():
        with pytest.raises(StoreUnavailable, match="missing rights"):
            LocalStore(closed / "store").put(b"x")
        LocalStore(open_folder / "store").put(b"x")  # positive control


def test_an_object_without_the_right_to_read_it(open_folder: Path) -> None:
    store = LocalStore(open_folder / "store")
    digest = store.put(b"x")
    (open_folder / "store" / "objects" / digest.hex[:2] / digest.hex[2:]).chmod(0)
    with without_rights(), pytest.raises(StoreUnavailable, match=r"cannot be read.*missing rights"):
        store.get(digest)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="a file where a folder should be"):
        LocalStore(tmp_path / "store").put(b"x")


def test_a_fault_of_the_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    store.put(b"prepared")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnavailable, match="fault of the disk"):
        store.put(b"x")
    assert not store.has(digest_bytes(b"x"))
    assert temporaries(tmp_path) == []


def bad_objects_after_kills(kind: str, root: Path, kills: int) -> tuple[int, int]:
    """Kill a writer so many times in mid-write.

    Returns:
        How many objects are not what their name says, and how many were told to be kept and are not.
    """
    partial = lost = 0
    chance = random.Random(7)
    for number in range(kills):
        folder = root / str(number)
        script = Path(__file__).parent / "killed_writer.py"
        with subprocess.Popen([sys.executable, script, kind, folder], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            told = [writer.stdout.readline()]
            time.sleep(chance.uniform(0.0, 0.1))
            writer.send_signal(signal.SIGKILL)
            told += writer.stdout.readlines()
        store = LocalStore(folder)
        kept = set()
        for digest in list(store.digests()):
            try:
                store.get(digest)
                kept.add(str(digest))
            except DigestMismatch:
                partial += 1
        lost += len({line.decode().strip() for line in told if line.endswith(b"\n")} - kept)
        shutil.rmtree(folder, ignore_errors=True)  # one that was killed very early has made none
    return partial, lost


def test_a_killed_writer_leaves_no_partial_object(tmp_path: Path) -> None:
    assert bad_objects_after_kills("honest", tmp_path, 10) == (0, 0)


@pytest.mark.torture
@pytest.mark.timeout(3500)
def test_a_writer_killed_again_and_again_leaves_no_partial_object(tmp_path: Path) -> None:
    kills = kills_of("store")
    with counting("kill -9 of writers to the store", kills, seed=7) as count:
        assert bad_objects_after_kills("honest", tmp_path, kills) == (0, 0)
        count.add("killed", kills)


def test_a_naive_writer_fails_the_test_above(tmp_path: Path) -> None:
    """One that writes in place, and tells before it is done."""
    partial, lost = bad_objects_after_kills("naive", tmp_path, 10)
    assert partial > 0
    assert lost > 0
