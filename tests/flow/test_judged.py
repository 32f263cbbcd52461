"""Which flow runs count as over for certain: no kernel and no server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from nbprod.digest import digest_bytes
from nbprod.flow.caller import Caller, caller_of
from nbprod.flow.untold import _judge
from nbprod.ledger import RunRow, open_ledger
from nbprod.ledger.events import RunFinished, RunStarted
from nbprod.record.ids import RunId
from nbprod.record.status import Status
from nbprod.runner.processes import Process

BEGUN = datetime(2026, 3, 1, 4, tzinfo=UTC)
AT = BEGUN + timedelta(minutes=1)
ENDED = BEGUN + timedelta(minutes=2)
ENDED_BY = BEGUN + timedelta(minutes=3)
GONE = replace(Process.this(), pid=2**22 + 1)
CALLER = Caller(task_run=uuid4(), task_key="notebook-a", dynamic_key="1", name="a", process=GONE)


@pytest.fixture
def row(tmp_path) -> RunRow:
    """A run as a ledger has it, and where it came from."""
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    run_id, digest = RunId.new(AT, bytes(10)), digest_bytes(b"")
    ledger.append(
        RunStarted(
            at=AT,
            run_id=run_id,
            step="a",
            notebook="a.ipynb",
            request_digest=digest,
            parameters={},
            user="u",
            host="h",
            runner_pid=1,
            lease_seconds=30.0,
            folder="",
            flow_run=str(uuid4()),
            caller=CALLER.to_json(),
        )
    )
    done = RunFinished(at=ENDED, run_id=run_id, status=Status.SUCCEEDED, reason="", seconds=60.0, record=digest)
    ledger.append(done)
    assert caller_of(ledger, run_id) == CALLER
    found = ledger.run(run_id)
    ledger.close()
    return found


def judged(*runs: tuple[RunRow, Caller | None], begun: datetime | None = BEGUN) -> tuple[bool, str]:
    return _judge(list(runs), begun=begun, ended_by=ENDED_BY)


def test_it_is_over_if_all_has_ended_and_its_process_is_gone(row):
    assert judged((row, CALLER), (row, CALLER)) == (True, "")


def test_while_it_may_go_on_nothing_is_said(row):
    going = replace(row, finished=None, status=None)
    just_ended = replace(row, finished=ENDED_BY + timedelta(seconds=1))
    for other in (going, just_ended):
        assert judged((row, CALLER), (other, CALLER)) == (False, "")
    alive = replace(CALLER, process=Process.this())
    assert judged((row, CALLER), (row, alive)) == (False, "")


def test_what_cannot_be_told_from_here_is_said(row):
    certain, why = judged((row, replace(CALLER, process=replace(GONE, host="elsewhere"))))
    assert (certain, why) == (False, "its process was on elsewhere: run `nbprod recover` there")
    for unknown in (None, replace(CALLER, process=None)):
        certain, why = judged((row, CALLER), (row, unknown))
        assert (certain, "not known in which process" in why) == (False, True)


def test_a_flow_run_that_was_begun_again_is_judged_by_what_ran_since(row):
    again = AT + timedelta(seconds=1)
    certain, why = judged((row, CALLER), begun=again)
    assert (certain, "begun again" in why) == (False, True)
    since = replace(row, started=again)
    assert judged((row, replace(CALLER, process=None)), (since, CALLER), begun=again) == (True, "")
    assert judged((row, CALLER), begun=None)[0] is False


def test_a_caller_that_is_somebody_elses_is_none():
    assert Caller.from_json({}) is None
    assert Caller.from_json({"task_run": "no id", "task_key": "", "dynamic_key": "", "name": ""}) is None
    assert Caller.from_json({**CALLER.to_json(), "process": {"pid": 1}}) is None
