"""What is put is not removed: every store tells when it was, and removes only what it is told to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import DigestMismatch, NotFound
from nbprod.store import LocalStore, MemoryStore, RemoteStore, SpoolingStore, Store
from nbprod.store.driver import Driver
from nbprod.store.filesystem import FsspecDriver
from nbprod.store.link import Patience
from nbprod.store.s3 import S3Driver
from nbprod.store.spool import Spool
from nbprod.store.store import FRESH
from tests.object_storage import BUCKET, new_prefix

HOUR = timedelta(hours=1)


class Clock:
    """The present moment, and as much later as it is told."""

    def __init__(self) -> None:
        self.later = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.later


def remote(driver: Driver, clock: Clock) -> RemoteStore:
    return RemoteStore(driver, clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["local", "memory", "s3", "fsspec", "spooling"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    patience = Patience(waits=())
    prefix = new_prefix()
    if request.param == "s3":
        request.getfixturevalue("s3_environ")
        yield RemoteStore(S3Driver(BUCKET, prefix.rpartition("/")[2], prefix, patience=patience), clock=clock)
        return
    behind = RemoteStore(FsspecDriver("memory", f"/{prefix[5:]}", "test://", patience=patience), clock=clock)
    yield {
        "local": LocalStore(tmp_path / "store", clock=clock),
        "memory": MemoryStore(clock=clock),
        "fsspec": behind,
        "spooling": SpoolingStore(behind, Spool(tmp_path / "spool", clock=clock)),
    }[request.param]


def test_a_store_tells_when_an_object_was_put(store: Store) -> None:
    # S3 tells whole seconds; a file system's clock ticks every few milliseconds.
    before = datetime.now(UTC) - timedelta(seconds=2)
    digest = store.put(b"now")
    written = store.written(digest)
    assert before <= written <= datetime.now(UTC) + timedelta(seconds=2)
    assert written.utcoffset() == timedelta(0)
    with pytest.raises(NotFound):
        store.written(digest_bytes(b"never put"))


def test_what_is_removed_is_gone_and_can_be_put_again(store: Store) -> None:
    digest, other = store.put(b"one"), store.put(b"another")
    assert store.remove(digest)
    assert not store.has(digest)
    assert not store.remove(digest)
    assert list(store.digests()) == [other]
    with pytest.raises(NotFound):
        store.get(digest)
    assert store.get(store.put(b"one")) == b"one"


def test_what_was_put_after_a_moment_stays(store: Store) -> None:
    digest = store.put(b"young")
    assert not store.remove(digest, unless_after=store.written(digest) - HOUR)
    assert store.get(digest) == b"young"
    assert store.remove(digest, unless_after=store.written(digest) + HOUR)
    assert not store.has(digest)


def test_a_put_of_what_is_there_renews_its_time_once_it_is_old(
    store: Store, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.put(b"old")
    first = store.written(digest)
    store.put(b"old")
    assert store.written(digest) == first

    if isinstance(store, LocalStore):  # its times are the file system's: the file grows old, not the clock
        path = tmp_path / "store" / "objects" / digest.hex[:2] / digest.hex[2:]
        os.utime(path, (0, first.timestamp() - (FRESH + HOUR).total_seconds()))
        first = store.written(digest)
    else:
        clock.later = FRESH + HOUR
        if not isinstance(store, MemoryStore):  # S3 tells whole seconds
            threading.Event().wait(1.1)
    (tmp_path / "file").write_bytes(b"old")
    store.put_file(tmp_path / "file")
    assert store.written(digest) > first
    assert store.get(digest) == b"old"


def test_a_large_object_is_written_anew_once_it_is_old(
    request: pytest.FixtureRequest, clock: Clock, tmp_path: Path
) -> None:
    request.getfixturevalue("s3_environ")
    prefix, part = new_prefix(), 5 << 20
    driver = S3Driver(BUCKET, prefix.rpartition("/")[2], prefix, patience=Patience(waits=()))
    store = RemoteStore(driver, part=part, clock=clock)
    (tmp_path / "large").write_bytes(os.urandom(part + 7))
    digest, _ = store.put_file(tmp_path / "large")
    first = store.written(digest)
    clock.later = FRESH + HOUR
    threading.Event().wait(1.1)
    assert store.put_file(tmp_path / "large") == (digest, part + 7)
    assert store.written(digest) > first
    assert store.get(digest) == (tmp_path / "large").read_bytes()


def test_what_dead_writers_left_is_swept_out(tmp_path: Path, clock: Clock) -> None:
    store = LocalStore(tmp_path / "store", clock=clock)
    store.put(b"x")
    left = tmp_path / "store" / "tmp" / "left"
    left.write_bytes(b"half")
    assert store.sweep() == 0
    clock.later = timedelta(days=1, hours=1)
    assert store.sweep() == 1
    assert not left.exists()


def test_what_dead_writers_left_elsewhere_is_swept_out(clock: Clock) -> None:
    driver = FsspecDriver("memory", f"/{new_prefix()[5:]}", "test://", patience=Patience(waits=()))
    store = RemoteStore(driver, clock=clock)
    driver.write("tmp/left", b"half")
    assert store.sweep() == 0
    clock.later = timedelta(days=1, hours=1)
    assert store.sweep() == 1
    assert list(driver.keys("tmp")) == []


# --- puts against removals ------------------------------------------------------------------------


class Forgetful(LocalStore):
    """A store whose puts change nothing where the object is already there."""

    def _renewed(self, digest: Digest, descriptor: int) -> bool:
        return True


def lost(root: Path, kind: type[LocalStore]) -> int:
    """Put old objects again while another process's worth of threads removes what is old; count those that are gone."""
    store, rounds = kind(root), 150
    digests = [LocalStore(root).put(str(number).encode()) for number in range(rounds)]
    ready = threading.Barrier(2)
    gone = 0

    def collect() -> None:
        collector = LocalStore(root)
        for digest in digests:
            ready.wait()
            collector.remove(digest, unless_after=datetime.now(UTC) - timedelta(days=1))
            ready.wait()

    thread = threading.Thread(target=collect)
    thread.start()
    for number, digest in enumerate(digests):
        path = root / "objects" / digest.hex[:2] / digest.hex[2:]
        os.utime(path, (0, 0))
        ready.wait()
        store.put(str(number).encode())
        ready.wait()
        gone += not store.has(digest)
    thread.join()
    return gone


def test_no_put_loses_against_a_removal(tmp_path: Path) -> None:
    assert lost(tmp_path / "store", LocalStore) == 0


def test_without_renewal_puts_would_lose(tmp_path: Path) -> None:
    assert lost(tmp_path / "store", Forgetful) > 0


def spoil(store: Store, digest: Digest, folder: Path) -> None:
    """Have an object found corrupt, and set aside."""
    if isinstance(store, MemoryStore):
        store._objects[digest] = b"worse"
    elif isinstance(store, LocalStore):
        path = folder / "store" / "objects" / digest.hex[:2] / digest.hex[2:]
        path.chmod(0o600)
        path.write_bytes(b"worse")
    else:
        far = store.remote if isinstance(store, SpoolingStore) else store
        assert isinstance(far, RemoteStore)
        far._driver.write(f"objects/{digest.hex[:2]}/{digest.hex[2:]}", b"worse")
    with pytest.raises(DigestMismatch):
        store.get(digest)


def aside(store: Store) -> list[str]:
    if isinstance(store, MemoryStore):
        return [str(digest) for digest, _ in store.quarantine]
    far = store.remote if isinstance(store, SpoolingStore) else store
    assert isinstance(far, LocalStore | RemoteStore)
    return [str(each) for each in far.quarantined()]


def test_what_was_set_aside_can_be_discarded(store: Store, tmp_path: Path) -> None:
    """An erasure takes what was found corrupt, too; other objects' remains stay."""
    digest, other = store.put(b"spoilt"), store.put(b"spoilt, too")
    spoil(store, digest, tmp_path)
    spoil(store, other, tmp_path)
    assert len(aside(store)) == 2
    assert store.discard(digest) == 1
    assert store.discard(digest) == 0
    (left,) = aside(store)
    assert other.hex in left
