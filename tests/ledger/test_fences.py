"""Leases by the ledger's own clock, and tokens that fence off whoever was away, in every ledger."""

import os
from datetime import timedelta

import pytest

from nbprod.ledger.errors import AlreadyFinished, Fenced
from nbprod.record.ids import RunId
from nbprod.record.status import Status
from tests.telling import started


def test_a_token_grows_with_each_takeover_and_older_ones_are_refused(told):
    run_id = told.start(lease_seconds=1.0)
    ledger = told.ledger
    assert ledger.renew(run_id, lease_seconds=1.0)  # the control: nobody has taken it over
    assert ledger.take_over(run_id, lease_seconds=1.0, lapsed=True) is None  # its lease goes on
    told.sleep(1.1)
    assert ledger.take_over(run_id, lease_seconds=1.0, lapsed=True) == 1
    assert ledger.take_over(run_id, lease_seconds=1.0, lapsed=True) is None  # somebody else is at it
    assert not ledger.renew(run_id, lease_seconds=99)
    with pytest.raises(Fenced):
        told.finish(run_id)
    assert ledger.run(run_id).status is None
    told.sleep(1.1)
    assert ledger.take_over(run_id, lease_seconds=30, lapsed=True) == 2  # who took it over has vanished, too
    with pytest.raises(Fenced):
        told.finish(run_id, fence=1)
    assert ledger.renew(run_id, lease_seconds=30, fence=2)
    told.finish(run_id, Status.CRASHED, fence=2)
    assert ledger.run(run_id).status is Status.CRASHED
    with pytest.raises(AlreadyFinished):
        told.finish(run_id)
    assert ledger.take_over(run_id, lease_seconds=30, lapsed=False) is None


def test_a_runner_known_to_be_gone_is_taken_over_within_its_lease(told):
    run_id = told.start(lease_seconds=30)
    assert told.ledger.take_over(run_id, lease_seconds=30, lapsed=False) == 1


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_worker_whose_clock_is_an_hour_off_neither_loses_its_run_nor_keeps_it(told, hours):
    at = told.ledger.now() + timedelta(hours=hours)  # the worker's clock dates the events
    kept, lost = RunId.new(at, b"k" * 10), RunId.new(at, b"l" * 10)
    told.ledger.append(started(kept, at=at, lease_seconds=30))
    told.ledger.append(started(lost, at=at, lease_seconds=0.2))
    until = told.ledger.run(kept).lease_until
    assert abs(until - told.ledger.now() - timedelta(seconds=30)) < timedelta(seconds=5)
    told.sleep(0.3)
    assert [row.run_id for row in told.ledger.lapsed()] == [lost]
    assert told.ledger.take_over(kept, lease_seconds=30, lapsed=True) is None
    assert told.ledger.take_over(lost, lease_seconds=30, lapsed=True) == 1


@pytest.mark.parametrize("hours", [-10, 10])
def test_a_runner_whose_own_clock_is_wrong_keeps_and_loses_its_lease_by_the_ledgers(told, hours):
    """Its clock dates the run and stands in its id; when the lease ends it does not say."""
    at = told.ledger.now() + timedelta(hours=hours)
    kept, lost, right = (RunId.new(moment, os.urandom(10)) for moment in (at, at, told.ledger.now()))
    told.ledger.append(started(kept, at=at, lease_seconds=300.0))
    told.ledger.append(started(lost, at=at, lease_seconds=-1.0))
    told.ledger.append(started(right, at=told.ledger.now(), lease_seconds=300.0))
    assert [row.run_id for row in told.ledger.lapsed()] == [lost]
    assert told.ledger.take_over(kept, lease_seconds=30.0, lapsed=True) is None
    assert told.ledger.renew(lost, lease_seconds=300.0)
    assert told.ledger.lapsed() == ()
    assert (kept < right) == (hours < 0)  # ids, and so "latest" and lineage, go by the runner's clock
    starts = [stored.event.run_id for stored in told.ledger.events()]
    assert starts == [kept, lost, right]  # and OUTPUT by the order in which the ledger heard of them
