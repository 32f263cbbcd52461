"""Which flow runs count as over for certain: no kernel and no server."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.states import Crashed, Running

from nbprod.flow.caller import Caller, caller_of
from nbprod.flow.untold import _judge, _Survey
from nbprod.ledger import Ledger, RunRow, open_ledger
from nbprod.project import Project
from nbprod.record.ids import RunId
from nbprod.runner.processes import Process
from tests.telling import finished, started

BEGUN = datetime(2026, 3, 1, 4, tzinfo=UTC)
AT = BEGUN + timedelta(minutes=1)
ENDED = BEGUN + timedelta(minutes=2)
ENDED_BY = BEGUN + timedelta(minutes=3)
GONE = replace(Process.this(), pid=2**22 + 1)
FLOW_RUN = uuid4()
CALLER = Caller(task_run=uuid4(), task_key="notebook-a", dynamic_key="1", name="a", process=GONE)


def told(ledger: Ledger, caller: Caller) -> RunRow:
    """Return a run as a ledger has it, and where it came from."""
    run_id = RunId.new(AT, os.urandom(10))
    ledger.append(started(run_id, at=AT, step="a", notebook="a.ipynb", flow_run=str(FLOW_RUN), caller=caller.to_json()))
    ledger.append(finished(run_id, at=ENDED))
    assert caller_of(ledger, run_id) == caller
    return ledger.run(run_id)


@pytest.fixture
def row() -> RunRow:
    return told(open_ledger("memory://"), CALLER)


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


class Api:
    """A server that has ended the flow run, and believes a task run of it to be running."""

    def __init__(self, task_run: UUID) -> None:
        self.task_run = TaskRun(id=task_run, flow_run_id=FLOW_RUN, task_key="a", dynamic_key="1", state=Running())
        self.told: list[str] = []

    def flow_runs_under_way(self, _ids: object) -> list[object]:
        return []

    def task_runs_under_way(self, _ids: object) -> list[TaskRun]:
        return [self.task_run]

    def flow_run(self, _flow_run: UUID) -> FlowRun:
        return FlowRun(id=FLOW_RUN, flow_id=uuid4(), name="f", state=Crashed())

    def end_task_run(self, _task_run: UUID, state: State) -> None:
        self.told.append(state.type.value)


@pytest.mark.parametrize(
    ("process", "told_of"),
    [(GONE, ["COMPLETED"]), (Process.this(), []), (None, [])],
    ids=["gone", "alive", "unknown"],
)
def test_a_task_run_that_was_left_is_told_of_if_its_process_is_gone(tmp_path, process, told_of):
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    project = Project.find(tmp_path)
    told(project.home.ledger, replace(CALLER, process=process))
    api = Api(CALLER.task_run)
    survey = _Survey(project, timedelta(0), act=True)
    survey.make(api, [FLOW_RUN])
    assert api.told == told_of
    assert [each.task_runs for each in survey.overdue] == [1] * len(told_of)
    project.close()
