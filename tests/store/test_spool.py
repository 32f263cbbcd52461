"""Bytes wait here while their store cannot be reached, and leave whole, once, and in whatever process comes first."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import DigestMismatch, NotFound, StoreUnavailable, StoreUnreachable
from nbprod.store import LocalStore, SpoolingStore, waiting
from nbprod.store.spool import Spool


class Link(LocalStore):
    """A store behind a link that can be cut."""

    fault: Exception | None = None
    tries = 0

    def put(self, data: bytes) -> Digest:
        self._pass()
        return super().put(data)

    def put_file(self, path: Path) -> tuple[Digest, int]:
        self._pass()
        return super().put_file(path)

    def get(self, digest: Digest) -> bytes:
        self._pass()
        return super().get(digest)

    def _pass(self) -> None:
        self.tries += 1
        if self.fault is not None:
            raise self.fault


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def link(tmp_path: Path) -> Link:
    return Link(tmp_path / "remote")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(link: Link, tmp_path: Path, clock: Clock) -> SpoolingStore:
    return SpoolingStore(link, Spool(tmp_path / "spool"), monotonic=clock)


def cut(link: Link) -> None:
    link.fault = StoreUnreachable("the link is cut")


def heal(link: Link, clock: Clock) -> None:
    link.fault = None
    clock.now += 31


def test_bytes_wait_are_read_here_and_arrive(store: SpoolingStore, link: Link, clock: Clock, tmp_path: Path) -> None:
    there = store.put(b"there")
    assert (store.waiting(), waiting(store, [there])) == (0, ())
    cut(link)
    (tmp_path / "file").write_bytes(b"file")
    here, file = store.put(b"here"), store.put_file(tmp_path / "file")[0]
    assert (store.get(here), store.size(file), store.has(here)) == (b"here", 4, True)
    store.copy_to(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"file"
    assert store.waiting() == 2
    assert waiting(store, [there, here]) == (here,)
    with pytest.raises(StoreUnreachable):
        store.get(there)
    heal(link, clock)
    assert list(store.digests()) == sorted([there, here, file])
    done = store.deliver()
    assert (done.delivered, done.waiting, done.problem) == (2, 0, None)
    assert (link.get(here), link.get(file)) == (b"here", b"file")
    assert list(store.digests()) == sorted([there, here, file])
    assert store.deliver().delivered == 0
    with pytest.raises(NotFound):
        store.get(digest_bytes(b"never"))


def test_a_broken_link_is_left_alone_for_a_while(store: SpoolingStore, link: Link, clock: Clock) -> None:
    cut(link)
    store.put(b"1")
    assert link.tries == 1
    store.put(b"2")
    assert link.tries == 1
    done = store.deliver()
    assert (done.delivered, done.waiting, link.tries) == (0, 2, 1)
    assert done.problem is not None
    clock.now += 31
    assert store.deliver().problem is link.fault
    assert link.tries == 2
    heal(link, clock)
    store.put(b"3")
    assert store.waiting() == 2
    assert store.deliver().delivered == 2


def test_only_a_link_is_waited_for(store: SpoolingStore, link: Link) -> None:
    link.fault = StoreUnavailable("the keys are refused")
    with pytest.raises(StoreUnavailable, match="refused"):
        store.put(b"x")
    assert store.waiting() == 0


def test_what_was_spoilt_while_it_waited_is_set_aside_and_the_rest_arrives(
    store: SpoolingStore, link: Link, clock: Clock, tmp_path: Path
) -> None:
    cut(link)
    bad, good = store.put(b"bad"), store.put(b"good")
    path = tmp_path / "spool" / "objects" / bad.hex[:2] / bad.hex[2:]
    path.chmod(0o644)
    path.write_bytes(b"worse")
    heal(link, clock)
    with pytest.raises(DigestMismatch, match=bad.hex):
        store.deliver()
    assert list(link.digests()) == [good]
    assert store.waiting() == 0
    assert [each.read_bytes() for each in store.quarantined()] == [b"worse"]


def test_several_deliver_at_once(store: SpoolingStore, link: Link, clock: Clock, tmp_path: Path) -> None:
    cut(link)
    digests = sorted(store.put(b"%d" % number) for number in range(40))
    heal(link, clock)
    others = [SpoolingStore(link, Spool(tmp_path / "spool"), monotonic=clock) for _ in range(4)]
    problems: list[BaseException] = []

    def deliver(each: SpoolingStore) -> None:
        try:
            each.deliver()
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=deliver, args=(each,)) for each in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert (store.waiting(), list(link.digests())) == (0, digests)
