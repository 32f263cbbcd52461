"""What Prefect's API believes of flow runs and task runs, and telling it otherwise.

Requests are tried once, for five seconds: who asks is a command that has more to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from prefect import Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.settings import PREFECT_API_URL, temporary_settings

from nbprod.flow.caller import Caller
from nbprod.flow.patience import brief

__all__ = ["Believed", "api_url", "asked"]

_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_BEGINNINGS = (StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED)
_PAGE = 200
"""How many a server hands out at once, by default."""

_T = TypeVar("_T")


def api_url() -> str | None:
    """Return the address of the API that Prefect's settings name; None if they name none."""
    url: str | None = PREFECT_API_URL.value()
    return url


@contextlib.contextmanager
def asked(url: str) -> Iterator[Believed]:
    """Ask the API at an address; no server is started, and nobody waits for long."""
    with temporary_settings({PREFECT_API_URL: url}), brief(), get_client(sync_client=True) as client:
        yield Believed(client)


class Believed:
    """Prefect's view of flow runs and task runs. Its methods raise what Prefect's client does.

    Args:
        client: of the API that is asked.
    """

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def flow_runs_under_way(self, ids: Sequence[UUID]) -> list[FlowRun]:
        """Return those of these flow runs that are running, pending or being cancelled."""
        state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
        found: list[FlowRun] = []
        for some in _batches(ids):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=some), state=state)
            found += self._client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)
        return found

    def task_runs_under_way(self, ids: Sequence[UUID]) -> list[TaskRun]:
        """Return the task runs of these flow runs that are running, pending or being cancelled."""
        state = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=_UNDER_WAY)))
        found: list[TaskRun] = []
        for some in _batches(ids):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=some))
            found += _pages(partial(self._client.read_task_runs, flow_run_filter=wanted, task_run_filter=state))
        return found

    def flow_run(self, flow_run: UUID) -> FlowRun:
        """Return a flow run."""
        return self._client.read_flow_run(flow_run)

    def task_runs(self, flow_run: UUID) -> list[TaskRun]:
        """Return all task runs of a flow run that the API knows."""
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
        return _pages(partial(self._client.read_task_runs, flow_run_filter=wanted))

    def begun(self, flow_run: UUID) -> datetime | None:
        """Return when a flow run last became scheduled, pending or running, by the server's clock; aware, UTC."""
        states = self._client.read_flow_run_states(flow_run)
        return max((state.timestamp for state in states if state.type in _BEGINNINGS), default=None)

    def end_flow_run(self, flow_run: UUID, state: State[Any]) -> bool:
        """Give a flow run its last state; return whether the server took it: it may have another one by now."""
        return self._client.set_flow_run_state(flow_run, state).status is SetStateStatus.ACCEPT

    def end_task_run(self, task_run: UUID, state: State[Any]) -> None:
        """Give a task run its last state. By force: a server would order another try of one that failed."""
        self._client.set_task_run_state(task_run, state, force=True)

    def add_task_run(self, flow_run: UUID, caller: Caller) -> UUID:
        """Make a task run that the API never heard of; return its id."""
        task: Task[Any, Any] = Task(_nothing, name=caller.task_key)
        task.task_key = caller.task_key
        made = self._client.create_task_run(
            task, flow_run, dynamic_key=caller.dynamic_key, id=caller.task_run, name=caller.name
        )
        return made.id


def _nothing() -> None:
    """The function of a task that is only told of."""


def _batches(ids: Sequence[UUID]) -> Iterator[list[UUID]]:
    return (list(ids[start : start + _PAGE]) for start in range(0, len(ids), _PAGE))


def _pages(read: Callable[..., list[_T]]) -> list[_T]:
    found: list[_T] = []
    for offset in count(step=_PAGE):
        page = read(limit=_PAGE, offset=offset)
        found += page
        if len(page) < _PAGE:
            break
    return found
