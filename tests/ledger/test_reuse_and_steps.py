"""What every ledger does for reuse and for published steps."""

from __future__ import annotations

import threading

import pytest
from conftest import Told

from nbprod.digest import digest_bytes
from nbprod.errors import CallerError, NotFound
from nbprod.ledger import Ledger, RunQuery
from nbprod.ledger.audit import audit
from nbprod.ledger.errors import AlreadyUnderWay, StepMoved
from nbprod.ledger.events import AliasMoved, RunReviewed, StepPublished, StepReviewed
from nbprod.record.review import Decision
from nbprod.record.status import Status
from tests.telling import DIGEST, START

OTHER = digest_bytes(b"other")


def published(version: int, step: str = "train", **fields: str) -> StepPublished:
    return StepPublished(at=START, step=step, number=version, manifest=DIGEST, by="ada", **fields)


def moved(version: int | None, before: int | None, alias: str = "production") -> AliasMoved:
    return AliasMoved(at=START, step="train", alias=alias, number=version, before=before, by="ada", why="better")


def test_runs_are_found_by_what_they_asked_for_and_were_for(told: Told) -> None:
    first = told.start(occasion="monday", flow_run="bold-ox")
    second = told.start(request_digest=OTHER, retry_of=first, flow_run="bold-ox")
    third = told.finish(told.start(), Status.CACHED, of=second)
    found = {
        "request": [row.run_id for row in told.ledger.runs(RunQuery(request=DIGEST))],
        "occasion": [row.run_id for row in told.ledger.runs(RunQuery(occasion="monday"))],
        "flow_run": [row.run_id for row in told.ledger.runs(RunQuery(flow_run="bold-ox"))],
        "none": list(told.ledger.runs(RunQuery(occasion="tuesday"))),
    }
    assert found == {"request": [third, first], "occasion": [first], "flow_run": [second, first], "none": []}
    assert told.ledger.run(second).retry_of == first
    assert (told.ledger.run(third).of, told.ledger.run(first).of) == (second, None)


def test_what_people_say_is_kept_and_found(told: Told) -> None:
    ledger, run, other = told.ledger, told.start(), told.start()
    told.finish(run)
    said = {"at": START, "decision": Decision.APPROVED, "by": "ada", "why": "w", "log": "l", "attestation": OTHER}
    ledger.append(RunReviewed(run_id=run, record=DIGEST, **said))
    assert [row.run_id for row in ledger.runs(RunQuery(reviewed=True))] == [run]
    assert {row.run_id for row in ledger.runs(RunQuery())} == {run, other}
    version = StepReviewed(step="train", number=1, manifest=DIGEST, **said)
    with pytest.raises(NotFound, match="never published"):
        ledger.append(version)
    ledger.append(published(1))
    ledger.append(version)
    assert [each.event for each in ledger.step_events("train")][-1] == version
    assert audit(ledger).faults == []


def test_of_those_who_ask_for_the_same_one_runs(told: Told) -> None:
    alone = told.start()  # not shared: nobody waits for it
    first = told.start(shared=True)
    told.start(shared=True, request_digest=OTHER)
    told.start()
    with pytest.raises(AlreadyUnderWay) as caught:
        told.start(shared=True)
    assert (caught.value.run_id, caught.value.lapsed) == (first, False)
    told.finish(first)
    again = told.start(shared=True)
    assert told.ledger.run(again).shared
    assert not told.ledger.run(alone).shared


def test_a_shared_run_whose_runner_is_gone_is_said_to_be(told: Told) -> None:
    first = told.start(shared=True, lease_seconds=0.2)
    told.sleep(0.5)
    with pytest.raises(AlreadyUnderWay) as caught:
        told.start(shared=True)
    assert (caught.value.run_id, caught.value.lapsed) == (first, True)


def test_of_many_at_once_one_is_shared(told: Told) -> None:
    refused: list[AlreadyUnderWay] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        try:
            told.start(shared=True)
        except AlreadyUnderWay as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (run,) = told.ledger.runs(RunQuery())
    assert {error.run_id for error in refused} == {run.run_id}
    assert len(refused) == 7


def test_versions_count_up_and_aliases_point_at_them(ledger: Ledger) -> None:
    ledger.append(published(1, note="first"))
    ledger.append(published(2))
    ledger.append(published(1, step="score"))
    ledger.append(moved(1, None))
    ledger.append(moved(2, 1))
    ledger.append(moved(2, None, "latest-good"))
    told = [(each.step, each.version, each.aliases) for each in ledger.published()]
    assert told == [("score", 1, ()), ("train", 2, ("latest-good", "production")), ("train", 1, ())]
    first = ledger.published("train")[1]
    assert (first.manifest, first.published, first.by, first.note) == (DIGEST, START, "ada", "first")
    ledger.append(moved(None, 2, "latest-good"))
    assert ledger.published("train")[0].aliases == ("production",)
    assert [type(each.event).__name__ for each in ledger.step_events("train")] == [
        *["StepPublished"] * 2,
        *["AliasMoved"] * 4,
    ]
    assert len(list(ledger.events())) == 7
    assert list(ledger.step_events("unknown")) == []


@pytest.mark.parametrize(
    ("event", "error", "says"),
    [
        (published(1), StepMoved, "version 2, the next one"),
        (published(3), StepMoved, "version 2, the next one"),
        (moved(1, 1), StepMoved, "no version"),
        (moved(9, None), NotFound, "never published"),
        (moved(1, None, ""), CallerError, "alias"),
        (moved(1, None, "2"), CallerError, "alias"),
    ],
    ids=["again", "too far", "compare", "unknown", "empty", "number"],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    ledger: Ledger, event: StepPublished | AliasMoved, error: type[CallerError], says: str
) -> None:
    ledger.append(published(1))
    before = list(ledger.events()), ledger.published()
    with pytest.raises(error, match=says):
        ledger.append(event)
    assert (list(ledger.events()), ledger.published()) == before
