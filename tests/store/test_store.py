"""One behaviour suite for every store; each implementation says how its bytes are spoilt and what it set aside."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import CallerError, DigestMismatch, NotFound, SettingsError
from nbprod.store import LocalStore, MemoryStore, Store, open_store
from nbprod.store.files import BLOCK

ABSENT = digest_bytes(b"never put")


@dataclass
class Kept:
    store: Store
    spoil: Callable[[Digest, bytes], None]
    quarantined: Callable[[], list[bytes]]


def local(folder: Path) -> Kept:
    store = LocalStore(folder / "store")

    def spoil(digest: Digest, data: bytes) -> None:
        path = folder / "store" / "objects" / digest.hex[:2] / digest.hex[2:]
        path.chmod(0o644)
        path.write_bytes(data)

    def quarantined() -> list[bytes]:
        found = sorted((folder / "store" / "quarantine").glob("*"))
        return [path.read_bytes() for path in found if path.suffix != ".json"]

    return Kept(store, spoil, quarantined)


def memory(folder: Path) -> Kept:
    store = MemoryStore()
    return Kept(store, store._objects.__setitem__, lambda: [data for _, data in store.quarantine])


@pytest.fixture(params=[local, memory], ids=["local", "memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return request.param(tmp_path)


@pytest.fixture
def store(kept: Kept) -> Store:
    return kept.store


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=5000))
def test_bytes_come_back(store: Store, data: bytes) -> None:
    digest = store.put(data)
    assert digest == digest_bytes(data)
    assert store.get(digest) == data
    assert store.size(digest) == len(data)
    assert store.has(digest)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_files_come_back(store: Store, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source {} ü"
    source.write_bytes(os.urandom(size))
    digest, found = store.put_file(source)
    store.copy_to(digest, tmp_path / "copy")
    assert found == size
    assert (tmp_path / "copy").read_bytes() == source.read_bytes() == store.get(digest)


def test_the_same_bytes_are_kept_once(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"same")
    digest = store.put(b"same")
    assert store.put(b"same") == digest
    assert store.put_file(tmp_path / "file") == (digest, 4)
    assert list(store.digests()) == [digest]


def test_digests_are_in_order(store: Store) -> None:
    assert list(store.digests()) == []
    digests = {store.put(b"%d" % number) for number in range(40)}
    assert list(store.digests()) == sorted(digests)


def test_what_is_not_there_is_not_found(store: Store, tmp_path: Path) -> None:
    assert not store.has(ABSENT)
    for ask in (store.get, store.size, lambda digest: store.copy_to(digest, tmp_path / "copy")):
        with pytest.raises(NotFound, match=ABSENT.hex):
            ask(ABSENT)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("spoilt", [b"whole objecT", b"whole", b""], ids=["bit", "cut", "empty"])
@pytest.mark.parametrize("way", ["get", "copy_to", "put", "put_file"])
def test_corruption_is_set_aside_and_raised(kept: Kept, tmp_path: Path, spoilt: bytes, way: str) -> None:
    store = kept.store
    (tmp_path / "source").write_bytes(b"whole object")
    (tmp_path / "copy").write_bytes(b"before")
    digest = store.put(b"whole object")
    kept.spoil(digest, spoilt)
    ask = {
        "get": lambda: store.get(digest),
        "copy_to": lambda: store.copy_to(digest, tmp_path / "copy"),
        "put": lambda: store.put(b"whole object"),
        "put_file": lambda: store.put_file(tmp_path / "source"),
    }[way]
    with pytest.raises(DigestMismatch, match=digest.hex) as raised:
        ask()
    assert pickle.loads(pickle.dumps(raised.value)).found == raised.value.found
    assert kept.quarantined() == [spoilt]
    assert not store.has(digest)
    assert (tmp_path / "copy").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy", "source"]
    # Positive control: the same road is free once good bytes are there again.
    store.put(b"whole object")
    ask()


def test_a_copy_has_the_mode_asked_for_and_replaces(store: Store, tmp_path: Path) -> None:
    digest = store.put(b"new")
    target = tmp_path / "target"
    target.write_bytes(b"old")
    store.copy_to(digest, target, mode=0o640)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o640)
    store.copy_to(digest, target)
    assert target.stat().st_mode & 0o777 == 0o444


def test_a_copy_needs_its_folder(store: Store, tmp_path: Path) -> None:
    digest = store.put(b"x")
    with pytest.raises(CallerError, match="cannot be written"):
        store.copy_to(digest, tmp_path / "missing" / "copy")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CallerError, match="cannot be written"):
        store.copy_to(digest, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_only_regular_files_are_kept(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CallerError, match="a pipe"):
        store.put_file(tmp_path / "pipe")
    with pytest.raises(CallerError, match="a folder"):
        store.put_file(tmp_path)
    with pytest.raises(NotFound, match="missing"):
        store.put_file(tmp_path / "missing")


class Restless:
    """Rewrites a file each time it is seen being read, a number of times."""

    def __init__(self, path: Path, times: int) -> None:
        self.path = path
        self.times = times
        self.read = os.read

    def __call__(self, descriptor: int, size: int) -> bytes:
        block = self.read(descriptor, size)
        if block and self.times and os.fstat(descriptor).st_ino == self.path.stat().st_ino:
            self.times -= 1
            with self.path.open("ab") as stream:
                stream.write(b"more")
        return block


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_file_that_comes_to_rest_is_read_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"start")
    monkeypatch.setattr(os, "read", Restless(path, times))
    digest, size = store.put_file(path)
    assert store.get(digest) == path.read_bytes() == b"start" + b"more" * times
    assert size == 5 + 4 * times


def test_a_file_that_never_rests_is_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"start")
    restless = Restless(path, 10**6)
    seen: set[int] = set()

    def once(descriptor: int, size: int) -> bytes:
        # One block per reading: a reader at the growing end would never reach it.
        if descriptor in seen:
            seen.discard(descriptor)
            return b""
        seen.add(descriptor)
        return restless(descriptor, size)

    monkeypatch.setattr(os, "read", once)
    with pytest.raises(CallerError, match="changes while it is being read"):
        store.put_file(path)


def test_threads_share_one_store(store: Store) -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for number in range(30):
                data = b"%d" % ((number + seed) % 10)
                assert store.get(store.put(data)) == data
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(store.digests())) == 10


def test_addresses(tmp_path: Path) -> None:
    digest = open_store("bytes {} ü", base=tmp_path).put(b"x")
    same = [
        open_store(str(tmp_path / "bytes {} ü"), base=Path("/nowhere")),
        open_store(open_store("bytes {} ü", base=tmp_path).url, base=Path("/nowhere")),
    ]
    assert [store.has(digest) for store in same] == [True, True]
    assert isinstance(open_store("memory://", base=tmp_path), MemoryStore)


@pytest.mark.parametrize("url", ["s3://user:secret@bucket", "file://elsewhere/x", "", "http://x"])
def test_addresses_that_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        open_store(url, base=tmp_path)
    assert "secret" not in str(raised.value)
