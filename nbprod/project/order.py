"""A run as people order it: a step, values, options, and a template for where the notebook goes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from nbprod.project.output import output_at, output_path, refuse_loss
from nbprod.project.project import Project, RunOptions
from nbprod.runner import Job
from nbprod.step.step import Step

__all__ = ["order"]


def order(
    project: Project, step: Step, values: Mapping[str, Any], options: RunOptions, *, output: str | None = None
) -> Job:
    """Bind values and options to a job; all that can be wrong with them is refused here.

    Args:
        project: where it will run.
        step: what to run.
        values: by parameter.
        options: how this run differs from the step's settings.
        output: template for the path or the address of the executed notebook (see `output_path`); None for none.

    Raises:
        ParameterError: unknown, missing or ill-typed parameters.
        CallerError: a template that cannot be filled in, or in whose place something lies (see `refuse_loss`).
    """
    job = project.job(step, values, options)
    if output is None:
        return job
    path = output_path(output, job.parameters.values, at=datetime.now(UTC), run_uuid=str(uuid.uuid4()))
    where = output_at(path)
    refuse_loss(where, step, project.home)
    return replace(job, output=where)
