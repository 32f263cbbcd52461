"""One behaviour suite for every ledger."""

from __future__ import annotations

import os
import pickle
import threading
from datetime import UTC, datetime, timedelta

import pytest
from conftest import Told

from nbprod.errors import CallerError, NotFound
from nbprod.ledger import Condition, Ledger, Order, RunQuery, parse_condition
from nbprod.ledger.errors import AlreadyFinished, AlreadyStarted, AmbiguousRun
from nbprod.ledger.events import (
    Event,
    RunCancelRequested,
    RunFinished,
    RunHeard,
    RunNamed,
    RunNoted,
    RunStarted,
    RunTagged,
    RunUntagged,
)
from nbprod.record.ids import RunId
from nbprod.record.status import Status
from tests.telling import DIGEST, START, finished, started

UNKNOWN = RunId("01890000-0000-7000-8000-000000000000")


def some_id(prefix: str = "", suffix: str = "") -> RunId:
    text = str(RunId.new(START, os.urandom(10)))
    return RunId(prefix + text[len(prefix) : len(text) - len(suffix)] + suffix)


def found(ledger: Ledger, **query: object) -> list[RunId]:
    return [row.run_id for row in ledger.runs(RunQuery(**query))]  # type: ignore[arg-type]


def test_a_run_from_start_to_verdict(told: Told) -> None:
    alpha = {"$nbprod": "float", "value": "1.0"}
    run_id = told.start(parameters={"alpha": alpha}, name="first", tags=("b", "a", "b"), note="why")
    row = told.ledger.run(run_id)
    assert (row.run_id, row.step, row.notebook, row.status) == (run_id, "train", "notebooks/train.ipynb", None)
    assert (row.name, row.tags, row.note) == ("first", ("a", "b"), "why")
    assert (row.user, row.host, row.runner_pid, row.folder) == ("ada", "laptop", 4711, "work/one")
    assert row.parameters == {"alpha": alpha}
    assert (row.record, row.finished, row.seconds, row.scraps) == (None, None, None, {})
    assert row.lease_until is not None
    told.finish(run_id, Status.FAILED, scraps={"auc": 0.7}, notebook=DIGEST)
    row = told.ledger.run(run_id)
    assert (row.status, row.reason, row.seconds) == (Status.FAILED, "it failed", 1.5)
    assert row.started == START + timedelta(seconds=1)
    assert row.finished == row.started + timedelta(minutes=1)
    assert (row.record, row.notebook_digest, row.scraps) == (DIGEST, DIGEST, {"auc": 0.7})
    assert row.lease_until is None
    assert row == next(told.ledger.runs(RunQuery()))
    assert pickle.loads(pickle.dumps(row)) == row


def test_a_run_starts_once(told: Told) -> None:
    run_id = told.start()
    with pytest.raises(AlreadyStarted):
        told.ledger.append(started(run_id))
    assert len(list(told.ledger.events())) == 1


@pytest.mark.parametrize("status", list(Status))
def test_one_verdict_per_run(told: Told, status: Status) -> None:
    run_id = told.finish(told.start(), status)
    with pytest.raises(AlreadyFinished) as raised:
        told.ledger.append(finished(run_id, Status.CRASHED))
    assert pickle.loads(pickle.dumps(raised.value)).status is status
    assert told.ledger.run(run_id).status is status
    assert len(list(told.ledger.events())) == 2


@pytest.mark.parametrize(
    "event",
    [
        finished(UNKNOWN),
        RunNamed(at=START, run_id=UNKNOWN, name="x"),
        RunTagged(at=START, run_id=UNKNOWN, tag="x"),
        RunHeard(at=START, run_id=UNKNOWN, what="x"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_nothing_happens_to_a_run_that_never_started(ledger: Ledger, event: Event) -> None:
    for ask in (
        lambda: ledger.append(event),
        lambda: ledger.run(UNKNOWN),
        lambda: ledger.renew(UNKNOWN, lease_seconds=1),
        lambda: ledger.request_cancel(UNKNOWN),
        lambda: ledger.cancel_requested(UNKNOWN),
    ):
        with pytest.raises(NotFound, match=str(UNKNOWN)):
            ask()
    assert list(ledger.events()) == []


def test_people_annotate_before_and_after_the_verdict(told: Told) -> None:
    run_id = told.start(tags=("old",))
    told.ledger.append(RunNamed(at=START, run_id=run_id, name="one"))
    told.finish(run_id)
    for event in (
        RunNamed(at=START, run_id=run_id, name="two"),
        RunTagged(at=START, run_id=run_id, tag="new"),
        RunTagged(at=START, run_id=run_id, tag="new"),
        RunUntagged(at=START, run_id=run_id, tag="old"),
        RunUntagged(at=START, run_id=run_id, tag="never"),
        RunNoted(at=START, run_id=run_id, note="Größe"),
        RunHeard(at=START, run_id=run_id, what="late", data={"cell": 3}),
    ):
        told.ledger.append(event)
    row = told.ledger.run(run_id)
    assert (row.name, row.tags, row.note, row.status) == ("two", ("new",), "Größe", Status.SUCCEEDED)
    assert found(told.ledger, text="GRÖSSE") == [run_id]
    told.ledger.append(RunNamed(at=START, run_id=run_id, name=""))
    told.ledger.append(RunNoted(at=START, run_id=run_id, note=""))
    assert (told.ledger.run(run_id).name, told.ledger.run(run_id).note) == (None, None)
    with pytest.raises(CallerError):
        told.ledger.append(RunTagged(at=START, run_id=run_id, tag=""))


def test_events_come_back_in_order(told: Told) -> None:
    one, two = told.start(parameters={"a": [1, {"b": None}]}), told.start()
    told.finish(one)
    stored = list(told.ledger.events())
    assert [each.seq for each in stored] == [1, 2, 3]
    assert [type(each.event) for each in stored] == [RunStarted, RunStarted, RunFinished]
    assert [each.event.run_id for each in stored] == [one, two, one]
    assert list(told.ledger.events(one)) == [stored[0], stored[2]]
    assert list(told.ledger.events(after=2)) == [stored[2]]
    assert list(told.ledger.events(two, after=2)) == []


def test_many_events_come_back_by_pages(told: Told) -> None:
    run_id = told.start()
    for number in range(450):
        assert told.ledger.append(RunHeard(at=START, run_id=run_id, what=str(number))) == number + 2
    assert [each.seq for each in told.ledger.events()] == list(range(1, 452))


def test_fields_from_the_future_are_kept(told: Told) -> None:
    run_id = some_id()
    event = started(run_id, unknown={"colour": "blue"})
    told.ledger.append(event)
    assert [each.event for each in told.ledger.events()] == [event]


def test_leases(told: Told) -> None:
    short, renewed, long = (told.start(lease_seconds=seconds) for seconds in (0.05, 0.05, 30))
    done = told.finish(told.start(lease_seconds=0.05))
    assert told.ledger.renew(renewed, lease_seconds=30)
    assert not told.ledger.renew(done, lease_seconds=30)
    told.sleep(0.2)
    assert [row.run_id for row in told.ledger.lapsed()] == [short]
    assert told.ledger.renew(short, lease_seconds=30)
    assert told.ledger.lapsed() == ()
    assert told.ledger.renew(long, lease_seconds=-1)
    assert [row.run_id for row in told.ledger.lapsed()] == [long]
    assert len(list(told.ledger.events())) == 5  # a heartbeat is no event


def test_a_cancel_is_asked_for(told: Told) -> None:
    run_id, done = told.start(), told.finish(told.start())
    assert not told.ledger.cancel_requested(run_id)
    assert told.ledger.request_cancel(run_id, by="ada")
    assert told.ledger.cancel_requested(run_id)
    assert told.ledger.run(run_id).status is None
    assert not told.ledger.request_cancel(done)
    assert not told.ledger.cancel_requested(done)
    (asked,) = (each.event for each in told.ledger.events() if isinstance(each.event, RunCancelRequested))
    assert (asked.run_id, asked.by, asked.at) == (run_id, "ada", asked.at.astimezone(UTC))


def test_find(told: Told) -> None:
    one = told.start(run_id=some_id("01890000-0000", "aaaabbbb"), name="baseline")
    two = told.start(run_id=some_id("01891111-0000", "ccccbbbb"), step="score", name="same")
    three = told.start(run_id=some_id("01891111-0001", "dddddddd"), name="same")
    four = told.start(run_id=some_id("01892222-0000", "eeeeeeee"), name="ccccbbbb")
    find = told.ledger.find
    assert find(str(one)) == find(str(one).upper()) == find("01890000") == find("aaaabbbb") == find(" baseline ") == one
    assert find("score@latest") == two
    assert find("@latest") == find("train@latest") == four
    assert find("01891111-0000") == two
    assert find("ccccbbbb") == four  # a name goes before a part of an id
    assert find("dddd") == three
    for text, candidates in (("bbbb", {one, two}), ("same", {two, three}), ("01891111", {two, three})):
        with pytest.raises(AmbiguousRun) as raised:
            find(text)
        assert set(raised.value.candidates) == candidates
        assert all(str(each) in str(raised.value) for each in candidates)
    for text in ("", "ddd", "nobody", "%", "ffffffff", "ingest@latest", str(UNKNOWN)):
        with pytest.raises(NotFound):
            find(text)


def test_latest_of_nothing(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="no run yet"):
        ledger.find("@latest")


def test_filters(told: Told) -> None:
    one = told.finish(told.start(tags=("nightly", "eu", "secret-suspected")), scraps={"auc": 0.5})
    two = told.finish(told.start(step="score", name="100%_Sure", tags=("nightly",)), Status.FAILED)
    three = told.start(step="Ingest_B")
    everything = [three, two, one]
    for query, expected in (
        ({}, everything),
        ({"steps": ("train", "score")}, [two, one]),
        ({"statuses": (Status.FAILED, Status.CRASHED)}, [two]),
        ({"running": True}, [three]),
        ({"running": False}, [two, one]),
        ({"tags": ("nightly",)}, [two, one]),
        ({"tags": ("nightly", "eu")}, [one]),
        ({"flagged": True}, [one]),
        ({"flagged": True, "steps": ("score",)}, []),
        ({"since": START + timedelta(seconds=2)}, [three, two]),
        ({"until": (START + timedelta(seconds=2)).astimezone()}, [one]),
        ({"text": "%_sure"}, [two]),
        ({"text": "ingest_b"}, [three]),
        ({"text": "it FAILED"}, [two]),
        ({"text": "night"}, [two, one]),
        ({"text": "t_b"}, [three]),
        ({"text": "tXb"}, []),
        ({"limit": 2}, [three, two]),
        ({"limit": 0}, []),
        ({"steps": ("train",), "statuses": (Status.FAILED,)}, []),
        ({"order": Order("started", descending=False)}, [one, two, three]),
    ):
        assert found(told.ledger, **query) == expected, query
    with pytest.raises(CallerError, match="zone"):
        found(told.ledger, since=datetime(2026, 1, 1))  # noqa: DTZ001


VALUES = {
    "half": 0.5,
    "seven": "007",
    "whole": {"$nbprod": "float", "value": "7.0"},
    "huge": {"$nbprod": "int", "value": "123456789012345678901234567890"},
    "yes": True,
    "nothing": None,
    "day": {"$nbprod": "date", "value": "2013-01-31"},
    "nan": {"$nbprod": "float", "value": "nan"},
    "inf": {"$nbprod": "float", "value": "inf"},
    "list": [1, "a"],
    "a.b": "dotted",
    "long": "x" * 5000,
}


@pytest.mark.parametrize("kind", ["params", "scraps"])
@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("half=0.5", True),
        ("half = 0.50", True),
        ("half!=0.5", False),
        ("half!=x", True),
        ("half<1", True),
        ("half<=0.5", True),
        ("half>0.5", False),
        ('half<"abc"', False),
        ("seven=007", True),
        ("seven='007'", True),
        ("seven=7", False),
        ("seven<8", False),
        ('seven<"a"', True),
        ("whole=7", True),
        ("whole==7.0", True),
        ("huge>1e29", True),
        ("yes=true", True),
        ("yes=True", True),
        ("yes=1", False),
        ("yes!=false", True),
        ("nothing=None", True),
        ("nothing=null", True),
        ("day>=2013-01-31", True),
        ("day<2013-01-31", False),
        ("nan=nan", True),
        ("nan>0", False),
        ("inf>1e300", True),
        ('list=[1,"a"]', True),
        ("a.b=dotted", True),
        ("long=" + "x" * 5000, True),
        ("missing=1", False),
        ("missing!=1", False),
    ],
)
def test_conditions(told: Told, kind: str, condition: str, holds: bool) -> None:  # noqa: FBT001
    run_id = told.start(parameters=VALUES if kind == "params" else {})
    if kind == "scraps":
        told.finish(run_id, scraps=VALUES)
    other = told.start()
    assert found(told.ledger, where=(parse_condition(f"{kind}.{condition}"),)) == ([run_id] if holds else [])
    assert found(told.ledger) == [other, run_id]


def test_conditions_with_typed_values(told: Told) -> None:
    run_id = told.start(parameters={"n": 7, "text": "7", "flag": False})
    for name, value, holds in (
        ("n", 7, True),
        ("n", 7.0, True),
        ("n", "7", True),
        ("text", 7, False),
        ("text", "7", True),
        ("flag", False, True),
        ("flag", True, False),
        ("flag", None, False),
    ):
        assert bool(found(told.ledger, where=(Condition("parameter", name, "=", value),))) == holds, (name, value)
    assert found(told.ledger, where=(parse_condition("params.n>6"), parse_condition("params.n<8"))) == [run_id]


@pytest.mark.parametrize(
    "text",
    [
        "alpha>1",
        "params.alpha",
        "metrics.x=1",
        "params.=1",
        "params.a~1",
        "",
        "scraps.x>=abc",
        "params.x<True",
        "params.x; drop=1",
        "params.a b=1",
    ],
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(CallerError, match="not a condition"):
        parse_condition(text)


def test_orders(told: Told) -> None:
    slow = told.finish(told.start(step="b", parameters={"x": 2}), seconds=9.0, scraps={"auc": 0.1})
    fast = told.finish(told.start(step="a", parameters={"x": "text"}), Status.FAILED, seconds=1.0, scraps={"auc": 0.9})
    same = told.finish(told.start(step="b", parameters={"x": 10}), seconds=1.0)
    runs = told.start(step="c")
    for text, expected in (
        ("started", [slow, fast, same, runs]),
        ("-started", [runs, same, fast, slow]),
        ("finished", [slow, fast, same, runs]),
        ("-finished", [same, fast, slow, runs]),
        ("seconds", [fast, same, slow, runs]),
        ("-seconds", [slow, same, fast, runs]),
        ("step", [fast, slow, same, runs]),
        ("-step", [runs, same, slow, fast]),
        ("status", [fast, slow, same, runs]),
        ("-status", [same, slow, fast, runs]),
        ("scraps.auc", [slow, fast, same, runs]),
        ("-scraps.auc", [fast, slow, runs, same]),
        ("params.x", [slow, same, fast, runs]),
        ("-params.x", [same, slow, fast, runs]),
    ):
        assert found(told.ledger, order=Order.parse(text)) == expected, text
        assert found(told.ledger, order=Order.parse(text), limit=3) == expected[:3], text
    with pytest.raises(CallerError, match="cannot be ordered"):
        Order("colour")


def test_pages_neither_lose_nor_repeat(told: Told) -> None:
    ids = []
    for number in range(430):
        run_id = told.start(parameters={"x": number % 3} if number % 2 else {})
        ids.append(run_id)
        if number % 5 == 0:
            told.ledger.append(finished(run_id, seconds=float(number % 4)))
    for order in ("-started", "seconds", "status", "-params.x", "finished", "step"):
        got = found(told.ledger, order=Order.parse(order))
        assert len(got) == 430
        assert set(got) == set(ids)
        assert found(told.ledger, order=Order.parse(order), limit=205) == got[:205]


def test_forty_threads_share_one_ledger(told: Told) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(3):
                run_id = some_id()
                told.ledger.append(started(run_id, step=f"step{number}"))
                told.ledger.renew(run_id, lease_seconds=5)
                told.ledger.append(finished(run_id))
                assert told.ledger.find(f"step{number}@latest")
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [each.seq for each in told.ledger.events()] == list(range(1, 241))


def test_one_of_many_verdicts_wins(told: Told) -> None:
    run_id = told.start()
    outcomes: list[str] = []

    def work(status: Status) -> None:
        try:
            told.ledger.append(finished(run_id, status))
            outcomes.append(str(status))
        except AlreadyFinished:
            outcomes.append("late")

    threads = [threading.Thread(target=work, args=(status,)) for status in Status]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = (outcome for outcome in outcomes if outcome != "late")
    assert told.ledger.run(run_id).status == winner
