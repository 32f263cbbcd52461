"""A worker that is killed while it delivers its spool to S3 loses nothing and doubles nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbprod.digest import Digest
from nbprod.store import RemoteStore, open_store
from nbprod.store.content import PART
from nbprod.store.spool import Spool
from tests.object_storage import BUCKET, ObjectStorage, new_prefix

pytestmark = pytest.mark.timeout(300)

SMALL, LARGE = 8, 2
STEPS = 2 * (SMALL + LARGE)
"""Before and after each object."""

Kill = Callable[[int, float], str]


@pytest.fixture
def url(s3_environ: ObjectStorage) -> str:
    return new_prefix()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def filled(spool: Spool, draw: random.Random) -> set[Digest]:
    """Leave objects in the spool: small ones, and two that go in parts."""
    small = [draw.randbytes(draw.randrange(1, 100_000)) for _ in range(SMALL)]
    large = [draw.randbytes(1000) * (PART // 1000 + 500 * (number + 1)) for number in range(LARGE)]
    return {spool.put(data) for data in (*small, *large)}


@contextmanager
def deliverer(kind: str, url: str, folder: Path) -> Iterator[Kill]:
    """Run deliveries, each killed after so many of its steps and a delay in seconds; `done` if it had no more."""
    script = Path(__file__).with_name("killed_deliverer.py")
    command = [sys.executable, str(script), kind, url, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def kill(steps: int, delay: float) -> str:
            stdin.write(f"{steps} {delay}\n")
            stdin.flush()
            return stdout.readline().strip()

        yield kill
        stdin.close()


def lost(digests: set[Digest], spool: Spool, store: RemoteStore) -> set[Digest]:
    """Return what is whole neither here nor there; what is corrupt raises."""
    here, there = set(spool.digests()), set(store.digests())
    for digest in here & digests:
        spool.check(digest)
    for digest in there & digests:
        store.check(digest)
    return digests - here - there


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(2, 12))])
def test_killed_on_its_way_nothing_is_lost_or_doubled(
    url: str, spool: Spool, s3_environ: ObjectStorage, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    digests = filled(spool, draw)
    store = open_store(url, base=tmp_path)
    assert isinstance(store, RemoteStore)
    kills = 0
    with deliverer("honest", url, tmp_path / "spool") as kill:
        while kill(draw.randrange(1, STEPS // 3), draw.choice((0.0, 0.0, draw.uniform(0, 0.05)))) == "killed":
            kills += 1
            assert lost(digests, spool, store) == set()
    assert kills >= 2
    assert set(spool.digests()) == set()
    assert list(store.digests()) == sorted(digests)
    for digest in digests:
        store.check(digest)
    # One key for each object, by a way that is not nbprod's: nothing half, nothing twice.
    root = f"{BUCKET}/{url.rpartition('/')[2]}"
    assert len(s3_environ.client().find(root)) == len(digests)
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []


def test_a_spool_that_lets_go_too_early_is_found_out(url: str, spool: Spool, tmp_path: Path) -> None:
    """The positive control."""
    digests = filled(spool, random.Random(1))
    store = open_store(url, base=tmp_path)
    assert isinstance(store, RemoteStore)
    with deliverer("hasty", url, tmp_path / "spool") as kill:
        assert kill(1, 0.0) == "killed"
    assert len(lost(digests, spool, store)) == 1
