"""Nothing that is needed, young, or another ledger's is removed; the rest is."""

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from nbprod.errors import CallerError, IntegrityError
from nbprod.ledger.events import SECOND_ENDING, RunFinished, RunHeard
from nbprod.project import Project
from nbprod.project.garbage import collect
from nbprod.record.ids import RunId
from nbprod.record.run_record import Kept
from tests.cli.conftest import Nbprod, make_project
from tests.telling import started

WEEK = timedelta(days=7)


class Place:
    """A project with two runs and a published step, whose bytes can be made to look old."""

    def __init__(self, folder: Path) -> None:
        self.nbprod = Nbprod(make_project(folder))
        assert self.nbprod("run", "train").returncode == 0
        assert self.nbprod("run", "fail.ipynb").returncode == 1
        assert self.nbprod("publish", "train").returncode == 0
        self.project = Project.find(folder)
        self.home = self.project.home

    def age(self, days: float) -> None:
        """Make all that is in the store look as if it had been put so long ago."""
        then = self.project.now().timestamp() - days * 86_400
        for path in (self.home.folder / "store" / "objects").glob("*/*"):
            os.utime(path, (then, then))

    def collect(self, **options):
        return collect(self.home, now=self.project.now(), older_than=options.pop("older_than", WEEK), **options)

    def works(self) -> None:
        """See that all that the ledger and its records name is still there."""
        assert self.nbprod("ledger", "check").returncode == 0
        run = self.project.run("train@latest")
        record = run.record
        kept = [record.notebook, record.source_file, record.journal, record.trace, *record.artifacts]
        for each in kept:
            assert len(self.home.store.get(each.digest)) == each.size
        events = [stored.event for stored in self.home.ledger.events(run.id)]
        signed = [event.attestation for event in events if isinstance(event, RunFinished)]
        for digest in (record.environment_facts, record.request.environment, *signed):
            assert self.home.store.get(digest)
        assert self.nbprod("show", "fail@latest").returncode == 0
        assert self.project.step("train@1").data


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("garbage"))


pytestmark = pytest.mark.kernel


def test_what_nothing_needs_is_removed_once_it_is_old(place):
    store = place.home.store
    garbage = store.put(b"of a run that never ended")
    place.home.view(garbage, "seen.txt")
    place.age(8)
    young = store.put(b"just put")

    told = place.collect(dry_run=True)
    assert (told.removed, told.bytes, told.young) == (1, 25, 1)
    assert store.has(garbage)

    done = place.collect()
    assert (done.removed, done.bytes, done.young) == (1, 25, 1)
    assert done.needed == told.needed > 8
    assert not store.has(garbage)
    assert not list((place.home.folder / "views").rglob("seen.txt"))
    assert store.has(young)
    place.works()


def test_what_is_put_again_is_young_again(place):
    store = place.home.store
    again, once = store.put(b"put twice"), store.put(b"put once")
    place.age(8)
    store.put(b"put twice")
    place.collect()
    assert (store.has(again), store.has(once)) == (True, False)


@pytest.mark.parametrize("age", [timedelta(hours=23), timedelta(0), -WEEK])
def test_less_than_a_day_is_refused(place, age):
    garbage = place.home.store.put(b"refused")
    place.age(30)
    with pytest.raises(CallerError, match="younger than a day"):
        place.collect(older_than=age)
    assert place.home.store.has(garbage)


def test_while_a_run_is_under_way_what_it_put_stays(place):
    ledger, store = place.home.ledger, place.home.store
    before, since = store.put(b"long before"), store.put(b"by the run")
    start = place.project.now() - timedelta(days=20)
    run_id = RunId.new(start, os.urandom(10))
    row = ledger.run(ledger.find("train@latest"))
    folder = place.home.folder / "runs" / str(run_id)
    event = started(run_id, at=start, request_digest=row.request_digest, lease_seconds=600, folder=str(folder))
    place.age(19)
    old = start.timestamp() - 86_400
    path = place.home.folder / "store" / "objects" / before.hex[:2] / before.hex[2:]
    os.utime(path, (old, old))
    ledger.append(event)
    assert place.collect().removed == 1
    assert (store.has(before), store.has(since)) == (False, True)

    from nbprod.ledger.events import RunFinished
    from nbprod.record.status import Status

    ledger.append(
        RunFinished(
            at=place.project.now(),
            run_id=event.run_id,
            status=Status.CRASHED,
            reason="",
            seconds=1,
            record=row.record,
        )
    )
    assert place.collect().removed >= 1  # the control: once it has ended without naming them
    assert not store.has(since)


def test_where_a_record_cannot_be_read_nothing_is_removed(tmp_path):
    place = Place(tmp_path)
    garbage = place.home.store.put(b"garbage")
    place.age(30)
    record = place.home.ledger.run(place.home.ledger.find("train@latest")).record
    path = place.home.folder / "store" / "objects" / record.hex[:2] / record.hex[2:]
    data = path.read_bytes()

    path.unlink()
    with pytest.raises(IntegrityError):
        place.collect()
    path.write_bytes(data[:-2])
    with pytest.raises(IntegrityError):
        place.collect()
    assert place.home.store.has(garbage)

    path.write_bytes(data)
    assert place.collect().removed == 1


def test_what_a_second_ending_left_is_kept_and_checked(place):
    run = place.project.run("train@latest")
    store, ledger = place.home.store, place.home.ledger
    notebook, garbage = store.put(b"another notebook"), store.put(b"nobody's")
    other = replace(run.record, notebook=Kept(digest=notebook, size=16))
    record = store.put(other.to_bytes())
    data = {"status": "crashed", "reason": "late", "record": str(record)}
    ledger.append(RunHeard(at=place.project.now(), run_id=run.id, what=SECOND_ENDING, data=data))
    place.age(30)
    place.collect()
    assert [store.has(each) for each in (record, notebook, garbage)] == [True, True, False]
    place.works()

    path = place.home.folder / "store" / "objects" / notebook.hex[:2] / notebook.hex[2:]
    path.unlink()
    found = place.nbprod("ledger", "check", "--bytes")
    assert found.returncode == 4
    assert str(notebook) in found.stdout + found.stderr
    store.put(b"another notebook")
    place.works()


def test_records_of_another_ledger_are_not_removed(place, tmp_path):
    other = Nbprod(make_project(tmp_path))
    other.environ["NBPROD_STORE"] = str(place.home.folder / "store")
    assert other("run", "train", "-p", "alpha", "0.45").returncode == 0
    place.age(30)
    with pytest.raises(CallerError, match="another ledger"):
        place.collect()
    theirs = Project.find(tmp_path, {"NBPROD_STORE": other.environ["NBPROD_STORE"]})
    assert theirs.run("@latest").notebook.exists()
    assert theirs.home.store.get(theirs.run("@latest").record.notebook.digest)

    assert place.collect(foreign=True).removed >= 3
    assert not place.home.store.has(theirs.home.ledger.run(theirs.home.ledger.find("@latest")).record)
    place.works()


def test_the_command_says_what_it_did(place):
    place.age(30)
    place.nbprod("gc")  # what other tests left
    place.home.store.put(b"garbage of the command")
    place.age(30)
    told = json.loads(place.nbprod("gc", "--dry-run", "--json").stdout)
    assert (told["dry_run"], told["removed"], told["bytes"]) == (True, 1, 22)
    assert place.nbprod("gc", "--older-than", "23h").returncode == 2
    assert place.nbprod("gc", "--older-than", "soon").returncode == 2
    done = place.nbprod("gc", "--older-than", "1d")
    assert done.returncode == 0
    assert done.stdout.startswith("Removed 1 objects (22 B); ")
    place.works()


def test_without_runs_there_is_nothing_to_collect(tmp_path):
    assert Nbprod(make_project(tmp_path))("gc").returncode == 2
