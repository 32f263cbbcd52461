"""What Prefect was not told: flow runs and task runs that it believes to be under way, though they are over.

A flow's process that is killed, or whose API is gone when it ends, tells nobody. The ledger knows how its notebooks
ended. Prefect is told only what is certain (`_judge`), and of a flow run never that it went well: what a flow did
besides its notebooks, nbprod does not know. This module is light; Prefect is imported once a flow run is found.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from nbprod.errors import NbprodError
from nbprod.ledger import Order, RunQuery, RunRow
from nbprod.project import Project

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State, TaskRun

    from nbprod.flow.believed import Believed
    from nbprod.flow.caller import Caller

    _Runs = list[tuple[RunRow, Caller | None]]

__all__ = ["QUIET", "Left", "Overdue", "Untold", "look", "tell"]

QUIET = timedelta(minutes=3)
"""For so long a flow run's notebooks must have ended: news of theirs may still be on their way to Prefect."""
_SINCE = timedelta(days=30)
_LIMIT = 5000
"""How far back flow runs are looked for: runs that started so long ago, and the last so many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A flow run that Prefect believes to be under way, or some task runs of which it does, though they are over.

    Args:
        name: the flow run's.
        believed: its state with Prefect, before it is told otherwise.
        state: what Prefect is told: Crashed or Cancelled; None where the flow run has ended for Prefect, too.
        task_runs: how many of its task runs are to be told.
    """

    name: str
    believed: str
    state: str | None
    task_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A flow run whose notebooks have all ended, and of which it cannot be told from here whether it is over.

    Args:
        name: the flow run's.
        believed: its state with Prefect.
        why: why it cannot be told.
    """

    name: str
    believed: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """What Prefect was not told.

    Args:
        overdue: what is over for certain.
        left: what cannot be told from here.
        asked: the API's address; None if none was asked.
        problem: why it could not be asked, or told everything; None if it could, or there was nothing to ask.
    """

    overdue: tuple[Overdue, ...] = ()
    left: tuple[Left, ...] = ()
    asked: str | None = None
    problem: str | None = None


def look(project: Project, *, quiet: timedelta = QUIET) -> Untold:
    """Find out what Prefect was not told.

    Args:
        project: whose flow runs.
        quiet: for how long their notebooks must have ended.

    Raises:
        NbprodError: the ledger cannot be read.
    """
    return _examine(project, quiet, act=False)


def tell(project: Project, *, quiet: timedelta = QUIET) -> Untold:
    """Tell Prefect what it was not told; told once, it is not found again.

    Args:
        project: whose flow runs.
        quiet: for how long their notebooks must have ended.

    Raises:
        NbprodError: the ledger cannot be read.
    """
    return _examine(project, quiet, act=True)


def _examine(project: Project, quiet: timedelta, *, act: bool) -> Untold:
    known = _flow_runs(project)
    if not known:
        return Untold()
    try:
        from nbprod.flow.believed import api_url, asked  # noqa: PLC0415 - it imports Prefect
    except ImportError as error:
        return Untold(problem=f"Prefect is not installed here ({error}): install nbprod with its extra `flow`")
    url = api_url() or _embedded(project)
    if url is None:
        return Untold(problem="no Prefect API is configured: set PREFECT_API_URL to have it told what it missed")
    survey = _Survey(project, quiet, act=act)
    problem = None
    try:
        with asked(url) as believed:
            survey.make(believed, known)
    except NbprodError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Prefect's client raises, the command goes on
        problem = f"Prefect's API at {url} did not answer as it should ({type(error).__name__}: {_first_line(error)})"
    return Untold(overdue=tuple(survey.overdue), left=tuple(survey.left), asked=url, problem=problem)


def _flow_runs(project: Project) -> list[UUID]:
    """Return the flow runs of the ledger's last runs; what is no id of Prefect's is somebody else's."""
    if not project.home.has_ledger():
        return []
    found: dict[UUID, None] = {}
    for row in project.home.ledger.runs(RunQuery(since=project.now() - _SINCE, limit=_LIMIT)):
        try:
            found[UUID(row.flow_run or "")] = None
        except ValueError:
            continue
    return list(found)


def _embedded(project: Project) -> str | None:
    """Return the address of what `make up` started here: its flow runs are told of without any setting."""
    from nbprod.flow.embedded import Embedded  # noqa: PLC0415 - rarely needed

    up = Embedded(project.root).find()
    return None if up is None else up.url


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]


@dataclass(slots=True)
class _Survey:
    """One look at all known flow runs."""

    project: Project
    quiet: timedelta
    act: bool
    overdue: list[Overdue] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def make(self, believed: Believed, known: Sequence[UUID]) -> None:
        """Go through the flow runs that Prefect believes to be under way, then through task runs of others."""
        under_way = {flow_run.id: flow_run for flow_run in believed.flow_runs_under_way(known)}
        for flow_run in under_way.values():
            self._flow_run(believed, flow_run)
        strays: dict[UUID, list[TaskRun]] = {}
        for task_run in believed.task_runs_under_way([each for each in known if each not in under_way]):
            if task_run.flow_run_id is not None:
                strays.setdefault(task_run.flow_run_id, []).append(task_run)
        for flow_run_id, task_runs in strays.items():
            self._strays(believed, flow_run_id, task_runs)

    def _flow_run(self, believed: Believed, flow_run: FlowRun) -> None:
        runs = self._runs(flow_run.id)
        certain, why = _judge(runs, begun=believed.begun(flow_run.id), ended_by=self.project.now() - self.quiet)
        if not certain:
            if why:
                self.left.append(Left(name=flow_run.name, believed=_name(flow_run), why=why))
            return
        state = _last_state(flow_run, [row for row, _ in runs])
        endings = self._endings(runs, believed.task_runs(flow_run.id))
        found = Overdue(name=flow_run.name, believed=_name(flow_run), state=state.name, task_runs=len(endings))
        if self.act:
            for task_run, ending in endings:
                task_run_id = task_run if isinstance(task_run, UUID) else believed.add_task_run(flow_run.id, task_run)
                believed.end_task_run(task_run_id, ending)
            # The flow run last: while it counts as running, what fails in between is done by the next call.
            if not believed.end_flow_run(flow_run.id, state):
                found = replace(found, state=None)  # it has ended for Prefect meanwhile
        self.overdue.append(found)

    def _endings(self, runs: _Runs, there: Sequence[TaskRun]) -> list[tuple[UUID | Caller, State[Any]]]:
        """Return the endings that Prefect lacks, by task run; by caller where it never heard of the task run."""
        final = {task_run.id: _is_final(task_run) for task_run in there}
        last = {caller.task_run: (row, caller) for row, caller in runs if caller is not None}
        endings: list[tuple[UUID | Caller, State[Any]]] = [
            (task_run_id if task_run_id in final else caller, self._state(row))
            for task_run_id, (row, caller) in last.items()
            if not final.get(task_run_id, False)
        ]
        if all(_in_flow_process(row, caller) for row, caller in runs):  # so were its other tasks
            others = (task_run_id for task_run_id, ended in final.items() if not ended and task_run_id not in last)
            endings += [(task_run_id, _gone()) for task_run_id in others]
        return endings

    def _strays(self, believed: Believed, flow_run_id: UUID, task_runs: Sequence[TaskRun]) -> None:
        """Tell of task runs whose flow run has ended for Prefect: their own last news were lost."""
        ended_by = self.project.now() - self.quiet
        # In a process that lives, another attempt of the task run may have begun.
        last = {
            caller.task_run: row
            for row, caller in self._runs(flow_run_id)
            if caller is not None and caller.process is not None and caller.process.gone
        }
        over = {each.id: row for each in task_runs if (row := last.get(each.id)) and _over(row, ended_by)}
        flow_run = believed.flow_run(flow_run_id) if over else None
        if flow_run is None or flow_run.state is None or not flow_run.state.is_final():
            return
        if self.act:
            for task_run_id, row in over.items():
                believed.end_task_run(task_run_id, self._state(row))
        self.overdue.append(Overdue(name=flow_run.name, believed=_name(flow_run), state=None, task_runs=len(over)))

    def _runs(self, flow_run_id: UUID) -> _Runs:
        """Return a flow run's runs, in the order of their starts, with where in Prefect they came from."""
        from nbprod.flow.caller import caller_of  # noqa: PLC0415 - only where a flow run is found

        ledger = self.project.home.ledger
        order = Order("started", descending=False)
        rows = list(ledger.runs(RunQuery(flow_run=str(flow_run_id), order=order)))
        return [(row, caller_of(ledger, row.run_id)) for row in rows]

    def _state(self, row: RunRow) -> State[Any]:
        from nbprod.flow.states import message_of, state_of  # noqa: PLC0415 - it imports Prefect

        if row.status is None:  # asked only of runs that have ended
            raise AssertionError(row)
        try:
            message = message_of(self.project.run(row.run_id.text))
        except NbprodError:  # the record is out of reach: the ledger knows as much without it
            message = f"{row.reason} (run {row.run_id.short})"
        return state_of(row.status, f"{message}; {_told_by()}")


def _judge(runs: _Runs, *, begun: datetime | None, ended_by: datetime) -> tuple[bool, str]:
    """Return whether a flow run that Prefect believes to be under way is over for certain; if not, why not.

    It is if all its runs have ended long enough ago, if there are some since Prefect last saw it begin, and if the
    process that they name as the flow's is gone. No reason is given where it may simply go on.

    Args:
        runs: those of the flow run.
        begun: when it last began, by the API's clock; aware.
        ended_by: by when its runs must have ended; aware.
    """
    if not all(_over(row, ended_by) for row, _ in runs):
        return False, ""
    since = [caller for row, caller in runs if begun is not None and row.started >= begun]
    if not since:
        return False, "it was begun again, and no notebook run of it since is known here"
    processes = {None if caller is None else caller.process for caller in since}
    for process in processes:
        if process is None:
            return False, "it is not known in which process it ran"
        if not process.here:
            return False, f"its process was on {process.host}: run `nbprod recover` there"
    return all(process is not None and process.gone for process in processes), ""


def _over(row: RunRow, ended_by: datetime) -> bool:
    return row.finished is not None and row.finished <= ended_by


def _in_flow_process(row: RunRow, caller: Caller | None) -> bool:
    process = None if caller is None else caller.process
    return process is not None and (row.host, row.runner_pid) == (process.host, process.pid)


def _last_state(flow_run: FlowRun, rows: Sequence[RunRow]) -> State[Any]:
    """Return what a flow run is told that is over: Cancelled if somebody asked for that, else Crashed."""
    from prefect.states import Cancelled, Crashed  # noqa: PLC0415 - slow

    counted = Counter(str(row.status) for row in rows)
    endings = ", ".join(f"{count} {status}" for status, count in counted.items())
    runs = "its notebook run is" if len(rows) == 1 else f"its {len(rows)} notebook runs are"
    message = (
        f"the process of this flow run is gone; {runs} recorded: {endings}; "
        f"what it did besides is not known; {_told_by()}"
    )
    cancelling = flow_run.state is not None and flow_run.state.is_cancelling()
    return Cancelled(message=message) if cancelling else Crashed(message=message)


def _gone() -> State[Any]:
    from prefect.states import Crashed  # noqa: PLC0415 - slow

    return Crashed(message=f"the process of its flow run is gone; {_told_by()}")


def _told_by() -> str:
    return f"told by `nbprod recover` on {socket.gethostname()}"


def _name(flow_run: FlowRun) -> str:
    state = flow_run.state
    return "unknown" if state is None else state.name or state.type.value


def _is_final(task_run: TaskRun) -> bool:
    return task_run.state is not None and task_run.state.is_final()
