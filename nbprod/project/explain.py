"""Why a job would be run, or by whom it would be answered: component by component, against the nearest earlier run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from nbprod.digest import Digest
from nbprod.errors import IntegrityError, NotFound
from nbprod.ledger import RunQuery
from nbprod.ledger.erasures import Erasure
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.record.compare import Difference, compare_environments, compare_requests
from nbprod.record.request import RunRequest
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status
from nbprod.runner import Job
from nbprod.runner.reuse import candidates
from nbprod.runner.unchanged import trace_of
from nbprod.step.reuse import NO_REUSE, Reuse

__all__ = ["Explanation", "explain_job", "explain_run"]

_LOOKED_AT = 20
"""Earlier runs of a step among which the nearest is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why an earlier run does or does not answer.

    Args:
        step: the step's name.
        request: the digest of what is asked for.
        answer: the earlier run that answers; None if it has to be run.
        nearest: the earlier run that it is compared with; None if there is none.
        differences: in what the request differs from the nearest run's.
        hindrances: for an equal request, why that run may not answer all the same.
    """

    step: str
    request: Digest
    answer: Run | None
    nearest: Run | None
    differences: tuple[Difference, ...] = ()
    hindrances: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "step": self.step,
            "request": str(self.request),
            "answer": None if self.answer is None else str(self.answer.id),
            "nearest": None if self.nearest is None else str(self.nearest.id),
            "differences": [each.to_json() for each in self.differences],
            "hindrances": list(self.hindrances),
        }


def explain_job(project: Project, job: Job) -> Explanation:
    """Explain what would happen if a job were run with reuse; nothing is run.

    Raises:
        CallerError: the job would be refused.
    """
    reuse = job.reuse or Reuse()
    hindrances: tuple[str, ...] = ()
    if job.step.settings.reuse == NO_REUSE:
        hindrances = ("the step's settings say: reuse = false",)
    request = project.foresee(job)
    return _explain(project, request, reuse, hindrances)


def explain_run(project: Project, run: Run) -> Explanation:
    """Explain a finished run: in what it differs from the nearest one before it."""
    request = run.record.request
    if run.record.of is not None:
        answer = project.run(str(run.record.of))
        return Explanation(step=run.step, request=request.digest, answer=answer, nearest=answer)
    earlier = RunQuery(steps=(run.step,), statuses=(Status.SUCCEEDED,), until=run.started, limit=_LOOKED_AT)
    found = _against(project, request, _nearest(project, request, earlier))
    if found.nearest is None or found.differences:
        return found
    # An equal request: what else was different then, only the earlier run's own record can tell today.
    gone = tuple(str(Erasure(event, each)) for event in found.nearest.erased for each in event.objects)
    return replace(found, hindrances=gone or trace_of(found.nearest.record, project.home.store).blockers())


def _explain(project: Project, request: RunRequest, reuse: Reuse, hindrances: tuple[str, ...]) -> Explanation:
    home = project.home
    if not home.has_ledger():
        return Explanation(step=request.step, request=request.digest, answer=None, nearest=None)
    first: Explanation | None = None
    for candidate in candidates(
        request, reuse, store=home.store, ledger=home.ledger, root=project.root, now=project.now()
    ):
        told = hindrances + candidate.hindrances
        run = Run(candidate.record, home)
        if not told:
            return Explanation(step=request.step, request=request.digest, answer=run, nearest=run)
        first = first or Explanation(
            step=request.step, request=request.digest, answer=None, nearest=run, hindrances=told
        )
    if first is not None:
        return first
    query = RunQuery(steps=(request.step,), statuses=(Status.SUCCEEDED,), limit=_LOOKED_AT)
    return replace(_against(project, request, _nearest(project, request, query)), hindrances=hindrances)


def _nearest(project: Project, request: RunRequest, query: RunQuery) -> Run | None:
    """Return the run with the fewest differences; among equals the latest."""
    found = [run for run in project.runs(query) if isinstance(run.record, RunRecord)]
    return min(found, key=lambda run: len(compare_requests(run.record.request, request)), default=None)


def _against(project: Project, request: RunRequest, nearest: Run | None) -> Explanation:
    if nearest is None:
        return Explanation(step=request.step, request=request.digest, answer=None, nearest=None)
    before = nearest.record.request
    differences = compare_requests(before, request)
    if before.environment != request.environment:
        try:
            keys = [json.loads(project.home.store.get(each.environment)) for each in (before, request)]
        except (NotFound, IntegrityError):
            keys = []
        if keys and (details := compare_environments(keys[0], keys[1])):
            differences = (*(each for each in differences if each.component != "environment"), *details)
    return Explanation(step=request.step, request=request.digest, answer=None, nearest=nearest, differences=differences)
