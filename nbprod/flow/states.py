"""A run's ending as a Prefect state."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Crashed, Failed

from nbprod.errors import CallerError, RunNotSuccessful
from nbprod.project import Run
from nbprod.record.status import Status

__all__ = ["message_of", "notebook_url", "outcome_of", "result_of", "state_of", "worth_retrying"]

_NAMES = {Status.TIMED_OUT: "TimedOut", Status.CACHED: "Cached"}


def outcome_of(run: Run, interrupt: BaseException | None = None) -> State[Any]:
    """Return what a task function returns to Prefect: a state that tells how the run ended, and holds it.

    A returned Failed state is retried as an exception would be; its data is the error that a caller gets.

    Args:
        run: the finished run.
        interrupt: what was raised in the attending thread; kept as the error's cause.
    """
    if run.status.good:
        return state_of(run.status, message_of(run), data=run)
    error = _error_of(run)
    error.__cause__ = interrupt
    return state_of(run.status, message_of(run), data=error)


def state_of(status: Status, message: str, *, data: Any = None) -> State[Any]:
    """Return the state that stands for an ending.

    Args:
        status: the ending.
        message: for people.
        data: what the state holds for a caller.
    """
    name = _NAMES.get(status)
    if status.good:
        return Completed(name=name, message=message, data=data)
    if status is Status.CANCELLED:
        return Cancelled(message=message, data=data)
    if status is Status.CRASHED:
        return Crashed(message=message, data=data)
    if status in (Status.KERNEL_DIED, Status.EXITED_EARLY):
        message = f"{status}: {message}"  # Prefect's state is called Failed like any other
    return Failed(name=name, message=message, data=data)


def message_of(run: Run) -> str:
    """Return a state's message: the verdict's reason, and where the executed notebook can be opened."""
    return f"{run.reason} (run {run.id.short}, executed notebook: {notebook_url(run)})"


def notebook_url(run: Run) -> str:
    """Return the executed notebook's address as a URL."""
    return run.notebook.as_uri()


def _error_of(run: Run) -> RunNotSuccessful:
    try:
        run.raise_for_status()
    except RunNotSuccessful as error:
        return error
    raise AssertionError(run.status)  # asked only of runs that are not good


def result_of(state: State[Any]) -> Any:
    """Return the run that a state of ours holds.

    Raises:
        RunNotSuccessful: the run that it tells of was not good.
    """
    data = _data(state)
    if isinstance(data, BaseException):
        raise data
    return data


def worth_retrying(_task: Any, _task_run: Any, state: State[Any]) -> bool:
    """Return whether trying again can help: parameters that do not fit will not fit the next time either."""
    return not isinstance(_data(state), CallerError)


def _data(state: State[Any]) -> Any:
    # Prefect wraps the data of a finished state in a ResultRecord, a class without a public name.
    return getattr(state.data, "result", state.data)
