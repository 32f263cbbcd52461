"""Bits that flip in what is kept: each is found, or leaves every value that was decoded and verified as it was."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NbprodError
from nbprod.ledger import RunRow
from nbprod.project import Project, RunOptions
from nbprod.project.checkpoint import make_checkpoint
from nbprod.project.labels import tag_run
from nbprod.project.verifying import Verifier
from nbprod.record.ids import RunId
from nbprod.record.run_record import RunRecord
from nbprod.verify import Conclusion
from nbprod.verify.content import objects_of
from tests.memory import folder_in_memory
from tests.notebooks import write
from tests.tally import Count, counting
from tests.verify.conftest import Base, Place

pytestmark = pytest.mark.kernel


def kept(place: Place, run: str) -> list[Path]:
    """Return the files of everything that a run left in the store."""
    event = place.ending(run)
    assert event.attestation is not None
    record = RunRecord.from_bytes(place.project.home.store.get(event.record))
    digests = [event.record, event.attestation, *(each.digest for each in objects_of(record))]
    return [place.object(digest) for digest in dict.fromkeys(digests)]


class Values:
    """What a reader gets of a run: all that nbprod decodes and checks."""

    def __init__(self, place: Place, run: str) -> None:
        self._place, self._run = place, run

    def read(self) -> tuple[RunRecord, tuple[bytes, ...], RunRow, tuple[Any, ...]]:
        home = self._place.project.home
        row = home.ledger.run(RunId(self._run))
        events = tuple(stored.event for stored in home.ledger.events(RunId(self._run)))
        record = RunRecord.from_bytes(home.store.get(self._place.ending(self._run).record))
        return record, tuple(home.store.get(each.digest) for each in objects_of(record)), row, events


def flip(path: Path, bit: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(bit // 8)
        byte = stream.read(1)[0]
        stream.seek(bit // 8)
        stream.write(bytes([byte ^ 1 << bit % 8]))


def judge(place: Place, run: str, good: Any, count: Count, verifier: Verifier | None = None) -> None:
    try:
        found = (verifier or place.verifier()).run(RunId(run))
        if found.conclusion is not Conclusion.VERIFIED:
            count.add("found")
            return
        assert Values(place, run).read() == good, "verified, and a value is another"
        count.add("that change no value")
    except NbprodError:
        count.add("refused")


def flip_in_store(place: Place, run: str, count: Count, flips: Iterator[tuple[Path, int]]) -> None:
    good = Values(place, run).read()
    assert place.verify(run)  # positive control
    store, verifier = place.project.home.store, place.verifier()  # what it knows of the log stays as it is
    for path, bit in flips:
        data = path.read_bytes()
        path.chmod(0o644)
        flip(path, bit)
        judge(place, run, good, count, verifier)
        for digest in list({each.digest for each in objects_of(good[0])} | _ends(place, run)):
            store.discard(digest)
        path.write_bytes(data)
    assert place.verify(run)
    assert count.came.get("that change no value", 0) == 0, "every bit in the store counts"


def _ends(place: Place, run: str) -> set[Any]:
    event = place.ending(run)
    return {event.record, event.attestation}


def random_flips(paths: list[Path], count: int, seed: int) -> Iterator[tuple[Path, int]]:
    dice = random.Random(seed)
    for _ in range(count):
        path = dice.choice([path for path in paths if path.stat().st_size])
        yield path, dice.randrange(path.stat().st_size * 8)


@pytest.mark.parametrize("flips", [30, pytest.param(6000, marks=pytest.mark.torture)])
def test_bits_flipped_at_random_in_the_store(base: Base, place: Place, flips: int) -> None:
    run = base.runs["good"]
    with counting("random bit flips in the store's objects", flips, seed=flips) as count:
        flip_in_store(place, run, count, random_flips(kept(place, run), flips, flips))


@pytest.fixture
def small(base: Base, tmp_path: Path) -> Iterator[tuple[Place, str]]:
    """The project in memory, with one more run, of a notebook of one cell."""
    with folder_in_memory(tmp_path) as folder:
        shutil.copytree(base.root, folder / "copy", symlinks=True)
        write(folder / "copy" / "small.ipynb", "1")
        project = Project.find(folder / "copy", {})
        run = project.run_job(project.job(project.step("small.ipynb"), {}, RunOptions()))
        make_checkpoint(project)
        yield Place(project, project.root / "seen.json"), str(run.id)
        project.close()
        project.home.ledger.close()


@pytest.mark.torture
@pytest.mark.timeout(3500)
def test_every_bit_of_a_small_run(small: tuple[Place, str]) -> None:
    """Of all that the store keeps of it: record, signatures, notebooks, journal, trace."""
    place, run = small
    every = [(path, bit) for path in kept(place, run) for bit in range(path.stat().st_size * 8)]
    store, verifier = place.project.home.store, place.verifier()
    assert verifier.run(RunId(run))  # positive control
    with counting("every bit of all objects of a small run", len(every)) as count:
        for number, (path, bit) in enumerate(every):
            data, digest = path.read_bytes(), Digest(path.parent.name + path.name)
            path.chmod(0o644)
            flip(path, bit)
            # What verifying does with each object; now and then the whole of it, which takes a hundred times as long.
            if number % 500:
                with pytest.raises(IntegrityError):
                    store.get(digest)
            else:
                assert verifier.run(RunId(run)).conclusion is Conclusion.ALTERED
            count.add("found")
            store.discard(digest)
            path.write_bytes(data)
    assert verifier.run(RunId(run))


@pytest.mark.torture
@pytest.mark.timeout(3500)
def test_every_bit_of_a_small_run_s_events(small: tuple[Place, str]) -> None:
    place, run = small
    verifier = place.verifier()
    assert verifier.run(RunId(run))  # positive control
    rows = place.sql("SELECT seq, CAST(body AS BLOB) FROM events WHERE run_id = :run", run=run)
    change = "UPDATE events SET body = CAST(:body AS TEXT) WHERE seq = :seq"
    with counting("every bit of all events of a small run", sum(len(body) * 8 for _, body in rows)) as count:
        for seq, body in rows:
            for bit in range(len(body) * 8):
                bad = bytearray(body)
                bad[bit // 8] ^= 1 << bit % 8
                place.sql(change, seq=seq, body=bytes(bad))
                assert verifier.run(RunId(run)).conclusion is Conclusion.ALTERED, (seq, bit)
                count.add("found")
            place.sql(change, seq=seq, body=body)
    assert verifier.run(RunId(run))


def flip_in_ledger(place: Place, run: str, flips: int, count: Count, seed: int) -> None:
    """Flip bits of the database's file itself: pages of the log, the index, the run, or of nothing that counts."""
    home = place.project.home
    place.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    home.ledger.close()
    path = home.folder / "ledger.db"
    good, data = Values(place, run).read(), path.read_bytes()
    assert place.verify(run)  # positive control
    dice = random.Random(seed)
    for _ in range(flips):
        home.ledger.close()
        bit = dice.randrange(len(data) * 8)
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        path.write_bytes(data)
        flip(path, bit)
        judge(place, run, good, count)
    home.ledger.close()
    path.write_bytes(data)
    assert place.verify(run)
    assert flips < 1000 or count.came["found"] > flips / 100, "the control: flips do reach what counts"


@pytest.mark.parametrize("flips", [30, pytest.param(4000, marks=pytest.mark.torture)])
def test_bits_flipped_at_random_in_the_ledger_s_file(base: Base, place: Place, flips: int) -> None:
    with counting("random bit flips in the ledger's database file", flips, seed=flips) as count:
        flip_in_ledger(place, base.runs["good"], flips, count, flips)


def test_an_index_that_knows_a_row_by_another_name_is_told(base: Base, place: Place) -> None:
    """As one bit that flips in the middle of an index: what is sought still leads there."""
    run = base.runs["good"]
    place.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    home = place.project.home
    home.ledger.close()
    path = home.folder / "ledger.db"
    data = path.read_bytes()
    told = []
    for found in re.finditer(run.encode(), data):
        path.write_bytes(data[: found.start() + 12] + b'"' + data[found.start() + 13 :])
        try:
            told += [check.told for check in place.verify(run).checks]
        except NbprodError as error:
            told.append(str(error))
        home.ledger.close()
    assert any("its index names another run" in each for each in told)
    path.write_bytes(data)
    assert place.verify(run)  # positive control


@pytest.mark.parametrize("times", [5, pytest.param(143, marks=pytest.mark.torture)])
def test_no_false_alarm(base: Base, place: Place, times: int) -> None:
    """Each of the seven runs, again and again, between events that people add and checkpoints."""
    with counting("verifications of clean runs", times * len(base.runs)) as count:
        for number in range(times):
            if number % 10 == 0:
                tag_run(place.project.home.ledger, RunId(base.runs["good"]), [f"n{number}"])
                make_checkpoint(place.project)
            for run in base.runs.values():
                assert place.verify(run), place.verify(run)
                count.add("verified")
    path = kept(place, base.runs["good"])[0]  # the control: the same question, of one that is not clean
    path.chmod(0o644)
    flip(path, 77)
    assert place.verify(base.runs["good"]).conclusion is Conclusion.ALTERED
