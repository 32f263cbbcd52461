"""What a killed process left in Prefect: flow runs that say `Running` and have nobody who runs them."""

from __future__ import annotations

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

__all__ = ["close_flow_runs"]


def close_flow_runs(tag: str | None, reason: str) -> list[str]:
    """Set the running and pending flow runs with a tag to Crashed. Call it only when nothing with that tag can run.

    Args:
        tag: the flow runs' tag; None for all.
        reason: the state's message.

    Returns:
        The names of the flow runs that were closed.
    """
    unfinished = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=unfinished),
        tags=None if tag is None else FlowRunFilterTags(all_=[tag]),
    )
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=wanted)
        for flow_run in found:
            client.set_flow_run_state(flow_run.id, Crashed(message=reason), force=True)
    return [flow_run.name for flow_run in found]
