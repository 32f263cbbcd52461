"""What a ledger refuses its caller."""

from __future__ import annotations

from nbprod.errors import CallerError, IntegrityError
from nbprod.record.ids import RunId
from nbprod.record.status import Status

__all__ = ["AlreadyFinished", "AlreadyStarted", "AlreadyUnderWay", "AmbiguousRun", "Fenced", "StepMoved", "damaged"]


class AlreadyStarted(CallerError):
    """A run id that the ledger knows was started again."""

    def __init__(self, run_id: RunId) -> None:
        super().__init__(f"run {run_id} has already been started", expected="a run id that was never used")
        self.run_id = run_id


class AlreadyFinished(CallerError):
    """A run that has its verdict was given another: there is one per run, for ever (law 2).

    Args:
        run_id: the run.
        status: the verdict that stands.
    """

    def __init__(self, run_id: RunId, status: Status) -> None:
        super().__init__(
            f"run {run_id} has already finished",
            expected="one verdict per run",
            found=f"{status}, which stands",
            hint="Append what arrives later as RunHeard",
        )
        self.run_id = run_id
        self.status = status


class Fenced(CallerError):
    """A runner that was away while somebody else took over the closing of its run came back, and may not end it.

    Args:
        run_id: the run.
    """

    def __init__(self, run_id: RunId) -> None:
        super().__init__(
            f"run {run_id} was given up: nothing was heard of its runner until its lease had ended, and another "
            "process took it over, to close it as crashed",
            found="its runner, back again after a pause; what it did since stands beside the run as a second ending, "
            "and nothing of it was published",
            hint=f"`nbprod show {run_id.short}` tells where the run stands; start the step again if its result is "
            "needed. A machine that sleeps, or has no memory left, pauses its processes like this",
        )
        self.run_id = run_id


class AmbiguousRun(CallerError):
    """A name or part of an id that fits several runs.

    Args:
        text: what was asked for.
        candidates: the runs it fits, at most ten.
    """

    def __init__(self, text: str, candidates: tuple[RunId, ...]) -> None:
        super().__init__(
            f"{text!r} fits several runs",
            expected="what fits one run",
            found=", ".join(str(run_id) for run_id in candidates),
            hint="Give more of the id",
        )
        self.text = text
        self.candidates = candidates


class AlreadyUnderWay(CallerError):
    """A shared run was to be started for a request that another shared run is under way for.

    Args:
        run_id: that run.
        lapsed: whether its lease is over, so that nobody should wait for it.
    """

    def __init__(self, run_id: RunId, *, lapsed: bool) -> None:
        super().__init__(f"run {run_id} is under way for the same request", expected="one shared run per request")
        self.run_id = run_id
        self.lapsed = lapsed


class StepMoved(CallerError):
    """A step's version or alias is not where the caller believed it to be: somebody else was faster."""

    def __init__(self, what: str, *, expected: str, found: str) -> None:
        super().__init__(what, expected=expected, found=found, hint="Look again with `nbprod steps`, then decide anew.")


def damaged(what: str, error: Exception) -> IntegrityError:
    """Make the error for what a ledger holds and nbprod never wrote.

    Args:
        what: the row, for people.
        error: what came of reading it.
    """
    return IntegrityError(
        f"{what} is damaged",
        found=str(error),
        hint="Keep a copy of the ledger before anything else; `nbprod ledger check` tells all that is damaged",
    )
