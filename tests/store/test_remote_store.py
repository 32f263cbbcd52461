"""What only a store behind a network can get wrong: links that break, servers that refuse, writers that race."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import StoreUnavailable, StoreUnreachable
from nbprod.store import RemoteStore, SpoolingStore, open_store
from nbprod.store.content import Content, in_parts
from nbprod.store.link import Patience
from nbprod.store.s3 import S3Driver
from nbprod.store.spool import Spool
from tests.object_storage import BUCKET, READER, READER_SECRET, SECRET, ObjectStorage, new_prefix
from tests.proxy import Fault, Proxy

PART = 5 << 20
"""Bytes: the least that S3 takes as a part."""

SHORT = Patience(connect=2.0, silence=0.4, waits=(0.0, 0.1))


@pytest.fixture
def storage(s3_environ: ObjectStorage) -> ObjectStorage:
    return s3_environ


@pytest.fixture
def proxy(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of the server, which is what nbprod is told of."""
    with Proxy((storage.host, storage.port), delay=0.2, keep=40) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{proxy.host}:{proxy.port}")
        yield proxy


def driver(url: str, patience: Patience = SHORT, **options: str) -> S3Driver:
    return S3Driver(BUCKET, url.rpartition("/")[2], url, patience=patience, **options)


def healing(proxy: Proxy, waits: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)) -> Patience:
    """Patience during whose first wait the link recovers; on a busy machine, an answer may be late after that."""
    return Patience(connect=2.0, silence=0.5, waits=waits, sleep=lambda _: proxy.switch(Fault.NONE))


def direct(url: str, storage: ObjectStorage) -> RemoteStore:
    """The same bytes, past the proxy."""
    return RemoteStore(driver(url, endpoint=storage.endpoint))


# --- large objects ----------------------------------------------------------------------------------


def test_a_large_file_goes_in_parts_and_is_not_sent_twice(storage: ObjectStorage, tmp_path: Path) -> None:
    url = new_prefix()
    source = tmp_path / "large"
    source.write_bytes(os.urandom(2 * PART + 7))
    store = RemoteStore(driver(url, Patience()), part=PART)
    digest, size = store.put_file(source)
    path = f"{BUCKET}/{url.rpartition('/')[2]}/objects/{digest.hex[:2]}/{digest.hex[2:]}"
    assert size == 2 * PART + 7
    assert storage.client().info(path)["ETag"].endswith('-3"')
    before = storage.client().info(path)["LastModified"]

    class Silent(S3Driver):
        def read(self, key: str, start: int, size: int) -> bytes:
            raise AssertionError("the server's checksum of the parts says that they are whole")

        def create(self, key: str, content: Content, parts: Iterator[bytes], *, replace: bool = False) -> bool:
            raise AssertionError("they are there")

    again = RemoteStore(Silent(BUCKET, url.rpartition("/")[2], url, patience=Patience()), part=PART)
    assert again.put(source.read_bytes()) == again.put_file(source)[0] == digest
    store.copy_to(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert storage.client().info(path)["LastModified"] == before


def test_a_large_file_that_changes_on_its_way_is_sent_again(storage: ObjectStorage, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(b"a" * (2 * PART))

    class Changing(S3Driver):
        changes = 1

        def create(self, key: str, content: Content, parts: Iterator[bytes], *, replace: bool = False) -> bool:
            if self.changes:
                self.changes -= 1
                source.write_bytes(b"b" * (2 * PART))
            return super().create(key, content, parts, replace=replace)

    url = new_prefix()
    store = RemoteStore(Changing(BUCKET, url.rpartition("/")[2], url, patience=Patience()), part=PART)
    digest, _ = store.put_file(source)
    assert digest == digest_bytes(b"b" * (2 * PART))
    assert list(store.digests()) == [digest]
    uploads = storage.client().call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads", [])
    assert [each["Key"] for each in uploads if url.rpartition("/")[2] in each["Key"]] == []


def test_some_parts_are_on_their_way_at_once_and_no_more(storage: ObjectStorage) -> None:
    data, url = os.urandom(7 * PART + 1), new_prefix()
    content, lock = Content.of([data], PART), threading.Lock()
    counts: list[int] = [0]

    class Counting(S3Driver):
        def _request(self, method: str, **arguments: Any) -> dict[str, Any]:
            if method != "upload_part":
                return super()._request(method, **arguments)
            with lock:
                counts.append(counts[-1] + 1)
            try:
                return super()._request(method, **arguments)
            finally:
                with lock:
                    counts.append(counts[-1] - 1)

    one = Counting(BUCKET, url.rpartition("/")[2], url, patience=Patience())
    assert one.create("k", content, in_parts([data], PART)) is True
    assert 1 < max(counts) <= 4
    assert b"".join(one.read("k", at, PART) for at in range(0, len(data), PART)) == data


# --- writers that race ------------------------------------------------------------------------------


def test_an_object_is_written_once(storage: ObjectStorage) -> None:
    for size in (5, PART + 1):
        data = os.urandom(size)
        content, one = Content.of([data], PART), driver(new_prefix())
        assert one.create("k", content, in_parts([data], PART)) is True
        with pytest.raises(FileExistsError):
            one.create("k", content, in_parts([data], PART))


def test_a_lost_reply_is_no_lost_object(proxy: Proxy, storage: ObjectStorage) -> None:
    data, url = b"x" * 1000, new_prefix()
    content, store = Content.of([data], PART), RemoteStore(driver(url, healing(proxy)))
    proxy.switch(Fault.TRUNCATE)
    store._send(content, PART, False, iter([data]))
    assert direct(url, storage).get(content.digest) == data


def test_the_store_can_be_used_after_a_fork(storage: ObjectStorage) -> None:
    store = open_store(new_prefix(), base=Path("/"))
    digest = store.put(b"parent")
    child = os.fork()
    if not child:
        try:
            os._exit(0 if store.get(digest) == b"parent" and store.put(b"child") else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get(digest_bytes(b"child")) == b"child"
    assert store.get(digest) == b"parent"


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "url", "told"),
    [
        ({}, "s3://no-such-bucket/x", "a bucket that exists.*no bucket of that name"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, new_prefix(), "keys with rights"),
        ({"AWS_ACCESS_KEY_ID": "nobody-secret"}, new_prefix(), "keys with rights"),
        (
            {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": READER_SECRET},
            new_prefix(),
            "the keys are right, and may not do this here.*s3:PutObject",
        ),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, new_prefix(), "none.*AWS_ACCESS_KEY_ID"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, new_prefix(), r"an answer from 127\.0\.0\.1:1.*no connection"),
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, new_prefix(), "address .* is wrong"),
        ({}, "s3://Not+A+Bucket/x", "address .* is wrong"),
    ],
    ids=["bucket", "secret", "key", "rights", "no-keys", "unreachable", "endpoint", "bucket-name"],
)
@pytest.mark.usefixtures("storage")
def test_refusals_are_one_clear_paragraph(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    url: str,
    told: str,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    store = open_store(url, base=tmp_path, patience=Patience(waits=()))
    with pytest.raises(Exception, match=told) as raised:
        store.put(b"x")
    text = str(raised.value)
    assert raised.type.__module__ == "nbprod.errors"
    assert "\n" not in text
    assert not [secret for secret in (SECRET, READER_SECRET, "wrong-secret", "nobody-secret") if secret in text]


# --- links that break -------------------------------------------------------------------------------

BREAKS = [Fault.DROP, Fault.RESET, Fault.HALF_OPEN, Fault.TRUNCATE]


@pytest.mark.parametrize("fault", BREAKS)
def test_a_break_that_passes_is_not_noticed(proxy: Proxy, fault: Fault) -> None:
    url = new_prefix()
    digest = RemoteStore(driver(url)).put(b"before")
    for ask in (lambda store: store.put(b"after"), lambda store: store.get(digest)):
        proxy.switch(fault)
        assert ask(RemoteStore(driver(url, healing(proxy))))
        # Positive control: without a second try the same break is an error.
        proxy.switch(fault)
        with pytest.raises(StoreUnreachable):
            ask(RemoteStore(driver(url, healing(proxy, waits=()))))
        proxy.switch(Fault.NONE)


def test_a_late_reply_is_waited_for(proxy: Proxy) -> None:
    proxy.switch(Fault.DELAY)
    url = new_prefix()
    store = RemoteStore(driver(url, Patience(silence=5.0, waits=())))
    assert store.get(store.put(b"late")) == b"late"
    with pytest.raises(StoreUnreachable, match="silence"):
        RemoteStore(driver(url, Patience(silence=0.05, waits=()))).get(digest_bytes(b"late"))


class Credulous(RemoteStore):
    """The positive control: takes what comes."""

    def get(self, digest: Digest) -> bytes:
        return b"".join(self._blocks(digest))


def test_bytes_that_a_link_spoils_are_never_returned_and_never_blamed_on_the_store(
    proxy: Proxy, storage: ObjectStorage
) -> None:
    url, data = new_prefix(), random.Random(7).randbytes(400_000)
    store = RemoteStore(driver(url))
    digest = store.put(data)
    proxy.switch(Fault.GARBLE)
    with pytest.raises(StoreUnavailable):
        store.get(digest)
    assert credulous(url, digest) != data
    proxy.switch(Fault.NONE)
    assert store.get(digest) == data
    assert store.quarantined() == ()


def credulous(url: str, digest: Digest) -> bytes:
    while True:
        try:
            return Credulous(driver(url)).get(digest)
        except StoreUnavailable:  # a header was hit
            continue


def lost_or_corrupt(
    proxy: Proxy, storage: ObjectStorage, folder: Path, faults: Callable[[int], Fault], count: int, *, spools: bool
) -> int:
    """Put many objects from two threads while the link goes from fault to fault; return how many are not there."""
    url = new_prefix()
    remote = RemoteStore(driver(url, SHORT if spools else Patience(connect=2.0, silence=0.5, waits=())))
    store = SpoolingStore(remote, Spool(folder), monotonic=_Hasty()) if spools else remote
    put: dict[Digest, bytes] = {}

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(count):
            data = chance.randbytes(chance.choice((10, 1000, 100_000)))
            put[digest_bytes(data)] = data
            if not seed:
                proxy.switch(faults(number))
            try:
                store.put(data)
            except StoreUnavailable:
                continue  # only the control gives up

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.switch(Fault.NONE)
    begun = time.monotonic()
    if isinstance(store, SpoolingStore):
        while store.deliver().waiting and time.monotonic() - begun < 60:
            time.sleep(0.1)
    there = direct(url, storage)
    assert there.quarantined() == ()
    return sum(not there.has(digest) or there.get(digest) != data for digest, data in put.items())


class _Hasty:
    """A clock that runs a hundred times as fast: links are left alone for 0.3 seconds."""

    def __call__(self) -> float:
        return time.monotonic() * 100


def test_nothing_is_lost_while_a_link_breaks_again_and_again(
    proxy: Proxy, storage: ObjectStorage, tmp_path: Path
) -> None:
    cycle = [Fault.NONE, Fault.RESET, Fault.NONE, Fault.TRUNCATE, Fault.HALF_OPEN, Fault.NONE, Fault.DROP]
    by_turns = lambda number: cycle[number % len(cycle)]  # noqa: E731
    assert lost_or_corrupt(proxy, storage, tmp_path, by_turns, 11, spools=True) == 0
    # Positive control: a store that neither tries again nor keeps what it could not send.
    assert lost_or_corrupt(proxy, storage, tmp_path, by_turns, 7, spools=False) > 0


@pytest.mark.torture
def test_nothing_is_lost_in_a_long_bad_day(proxy: Proxy, storage: ObjectStorage, tmp_path: Path) -> None:
    chance = random.Random(11)
    faults = [*Fault, Fault.NONE, Fault.NONE, Fault.NONE]
    assert lost_or_corrupt(proxy, storage, tmp_path, lambda _: chance.choice(faults), 400, spools=True) == 0
