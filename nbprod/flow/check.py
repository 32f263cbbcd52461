"""What `nbprod doctor` says of flow runs that Prefect believes to be under way although they are over."""

from __future__ import annotations

from collections.abc import Iterator

from nbprod.errors import NbprodError
from nbprod.flow import untold
from nbprod.project import Project
from nbprod.project.machine import Finding, Health
from nbprod.record.counted import counted

__all__ = ["check_untold"]

_WHAT = "prefect's runs"


def check_untold(project: Project) -> Iterator[Finding]:
    """Ask Prefect's API what it believes of the flow runs that the ledger knows; nothing is said where there are none.

    Args:
        project: whose flow runs.
    """
    try:
        found = untold.look(project, quiet=untold.QUIET)
    except NbprodError:  # the ledger's own line says it
        return
    flow_runs = sum(each.state is not None for each in found.overdue)
    task_runs = sum(each.task_runs for each in found.overdue)
    if found.overdue:
        text = f"it believes {counted(flow_runs, 'flow run')} and {counted(task_runs, 'task run')} to be under way, "
        yield Finding(_WHAT, Health.WARN, f"{text}which are over", "Run `nbprod recover`: it tells Prefect.")
    for left in found.left:
        told = f"it says {left.believed} of flow run {left.name}, whose notebooks have ended"
        yield Finding(_WHAT, Health.WARN, told, f"Nothing is certain: {left.why}.")
    if found.problem is not None:
        advice = "Give it the right address, or start it; the records are complete without it."
        yield Finding(_WHAT, Health.WARN, found.problem, advice)
    elif found.asked is not None and not found.overdue and not found.left:
        yield Finding(_WHAT, Health.OK, f"{found.asked} believes nothing to be under way that is over")
