"""One behaviour suite for every store; each implementation says how its bytes are spoilt and what it set aside."""

from __future__ import annotations

import importlib.util
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import CallerError, DigestMismatch, NotFound, SettingsError
from nbprod.store import LocalStore, MemoryStore, RemoteStore, SpoolingStore, Store, open_store
from nbprod.store.files import BLOCK
from nbprod.store.filesystem import FsspecDriver
from nbprod.store.link import Patience
from nbprod.store.spool import Spool
from tests.object_storage import ObjectStorage, new_prefix

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


def over(store: Store, system: fsspec.AbstractFileSystem, root: str) -> Kept:
    """A remote store, spoilt and looked into through a file system of fsspec's."""

    def spoil(digest: Digest, data: bytes) -> None:
        system.pipe_file(f"{root}/objects/{digest.hex[:2]}/{digest.hex[2:]}", data)

    def quarantined() -> list[bytes]:
        return [system.cat_file(path) for path in system.find(f"{root}/quarantine") if not path.endswith(".json")]

    return Kept(store, spoil, quarantined)


def s3(folder: Path, storage: ObjectStorage) -> Kept:
    url = new_prefix()
    return over(open_store(url, base=folder), storage.client(), url.removeprefix("s3://"))


def any_driver(folder: Path) -> Kept:
    """The way for every driver but S3's; fsspec's own memory stands for what is behind it."""
    root = f"/{new_prefix()[5:]}"
    driver = FsspecDriver("memory", root, "test://", patience=Patience(waits=()))
    return over(RemoteStore(driver), fsspec.filesystem("memory"), root)


def spooling(folder: Path) -> Kept:
    kept = any_driver(folder)
    return Kept(SpoolingStore(kept.store, Spool(folder / "spool")), kept.spoil, kept.quarantined)


@pytest.fixture(params=[local, memory, s3, any_driver, spooling], ids=["local", "memory", "s3", "fsspec", "spooling"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param is s3:
        return s3(tmp_path, request.getfixturevalue("s3_environ"))
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


def test_a_file_is_kept_under_its_digest_or_not_at_all(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(BLOCK + 7))
    digest = digest_bytes(source.read_bytes())
    assert not store.put_as(source, ABSENT)
    assert list(store.digests()) == []
    assert store.put_as(source, digest)
    assert store.get(digest) == source.read_bytes()
    source.unlink()
    assert store.put_as(source, digest)  # what is there is not read again
    with pytest.raises(NotFound):
        store.put_as(source, ABSENT)
    with pytest.raises(CallerError):
        store.put_as(tmp_path, ABSENT)


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


def test_the_beginning_of_an_object(store: Store) -> None:
    digest = store.put(b"how it begins, and more")
    assert store.beginning(digest, 13) == b"how it begins"
    assert store.beginning(digest, 1000) == b"how it begins, and more"
    assert store.beginning(store.put(b""), 10) == b""
    store.check(digest)
    for ask in (lambda: store.beginning(ABSENT, 10), lambda: store.check(ABSENT)):
        with pytest.raises(NotFound):
            ask()


def test_what_is_not_there_is_not_found(store: Store, tmp_path: Path) -> None:
    assert not store.has(ABSENT)
    for ask in (store.get, store.size, lambda digest: store.copy_to(digest, tmp_path / "copy")):
        with pytest.raises(NotFound, match=ABSENT.hex):
            ask(ABSENT)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("spoilt", [b"whole objecT", b"whole", b""], ids=["bit", "cut", "empty"])
@pytest.mark.parametrize("way", ["get", "check", "copy_to", "put", "put_file"])
def test_corruption_is_set_aside_and_raised(kept: Kept, tmp_path: Path, spoilt: bytes, way: str) -> None:
    store = kept.store
    (tmp_path / "source").write_bytes(b"whole object")
    (tmp_path / "copy").write_bytes(b"before")
    digest = store.put(b"whole object")
    kept.spoil(digest, spoilt)
    ask = {
        "get": lambda: store.get(digest),
        "check": lambda: store.check(digest),
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


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "no address"),
        ("file://elsewhere/x", "names another machine"),
        ("s3://user:secret@bucket", "holds credentials"),
        ("s3://secret@bucket", "holds credentials"),
        ("sftp://user:secret@host/x", "holds credentials"),
        ("s3://bucket/x?secret_key=secret", "secret_key.*AWS_SECRET_ACCESS_KEY"),
        ("s3://bucket?endpoint_url=http://user:secret@host", "another endpoint_url"),
        ("s3://bucket?endpoint_url=host:9000", "another endpoint_url"),
        ("s3:///x", "no bucket"),
        ("s3://[bucket", "no URL"),
        ("http://x", "nothing can be kept at http://"),
        ("smtp://user@secret", "no kind of store called smtp://"),
        ("gs://bucket/x", "gcsfs"),
        ("ftp://", "no place after"),
        ("ftp://host/x?password=secret", "options after"),
    ],
)
def test_addresses_that_are_refused(url: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told) as raised:
        open_store(url, base=tmp_path)
    assert "secret" not in str(raised.value).replace("secret_key", "")


@pytest.mark.parametrize(("missing", "told"), [("s3fs", "the package s3fs"), ("fsspec", "the package fsspec")])
def test_a_missing_driver_names_the_extra(
    missing: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("nbprod.store.filesystem.find_spec", lambda name: None if name == missing else find_spec(name))
    with pytest.raises(SettingsError, match=rf"{told}.*pip install 'nbprod\[s3\]'"):
        open_store("s3://bucket", base=tmp_path)


def test_an_address_keeps_its_options_and_reaches_the_same_bytes(
    s3_environ: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.delenv("AWS_REGION")
    url = f"{new_prefix()}?endpoint_url={s3_environ.endpoint}&region=us-east-1"
    store = open_store(f"{url}", base=tmp_path)
    assert store.url == url
    digest = store.put(b"x")
    assert open_store(store.url, base=tmp_path).get(digest) == b"x"
