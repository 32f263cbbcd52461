"""The function behind a notebook task: picklable, so that it runs wherever Prefect's runner takes it."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.flow_engine import FlowRunTimeoutError

from nbprod.execution.events import Event
from nbprod.flow.arguments import binding_signature, describe, given
from nbprod.flow.attend import attend
from nbprod.flow.caller import Caller
from nbprod.flow.report import Report
from nbprod.flow.states import outcome_of
from nbprod.flow.watching import Notice, tell
from nbprod.project import Project, Run, RunOptions
from nbprod.runner.processes import Process
from nbprod.step.step import Step

__all__ = ["NotebookCall", "project_at"]


@functools.lru_cache(maxsize=8)
def _project(root: Path, _pid: int) -> Project:
    return Project.find(root)


def project_at(root: Path) -> Project:
    """Return this process's project of a root: one for all its tasks, so that they share a supervisor."""
    return _project(root, os.getpid())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What a notebook task runs.

    Args:
        root: the project's root.
        notebook: a step's name, the notebook's path below the root or its address, or a published version.
        options: how its runs differ from the step's settings.
    """

    root: Path
    notebook: str
    options: RunOptions

    def step(self) -> Step:
        """Return the step as its notebook and its settings are now."""
        project = project_at(self.root)
        path = self.root / self.notebook
        known = self.notebook in project.settings.steps or not path.is_file()
        return project.step(self.notebook if known else path)


class NotebookCall:
    """Runs a notebook with the parameters that Prefect bound.

    Args:
        ordered: what to run.
        step: as it is now; read again at each call.
    """

    def __init__(self, ordered: Ordered, step: Step) -> None:
        self.ordered = ordered
        self.flow_process: Process | None = None
        self.__name__ = step.name
        self.__qualname__ = step.name
        self.__doc__ = step.notebook.title or f"Run the notebook {ordered.notebook}."
        self.__signature__ = binding_signature(step.schema)

    def sent(self) -> NotebookCall:
        """Return a call that knows the process of the flow which sends it to be run, maybe in another process."""
        flow = FlowRunContext.get()
        if flow is None or flow.detached:  # not the flow's process, or its flow has no run
            return self
        other = self._twin()
        other.flow_process = Process.this()
        return other

    def _twin(self) -> NotebookCall:
        other = NotebookCall.__new__(NotebookCall)
        other.__dict__.update(self.__dict__)
        return other

    def with_timeout(self, seconds: float) -> NotebookCall:
        """Return a call with another deadline for its runs."""
        other = self._twin()
        other.ordered = replace(self.ordered, options=replace(self.ordered.options, timeout=seconds))
        return other

    def name_of_run(self, parameters: Mapping[str, Any]) -> str:
        """Return a task run's name."""
        return describe(self.__name__, parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> State[Any]:
        """Run the notebook; return a state that says how it ended (see `states`)."""
        bound = self.__signature__.bind(*args, **kwargs).arguments
        project = project_at(self.ordered.root)
        step = self.ordered.step()
        job = project.job(step, given(bound, step.name), self._in_context(project.environ))
        task = describe(step.name, bound)
        tell(Notice(step=step.name, task=task, news=None))
        report = Report(step.name)

        def hear(event: Event) -> None:
            try:
                report.hear(event)
            except FlowRunTimeoutError:
                raise  # an alarm of the flow's that happened to go off in here
            except Exception:  # a log handler that raises must not end the run
                logging.getLogger(__name__).exception("the news of a run could not be told to Prefect")
            tell(Notice(step=step.name, task=task, news=event))

        attended = attend(
            lambda cancel, listener: project.run_job(job, cancel=cancel, listener=listener),
            name=f"nbprod-{step.name}",
            hear=hear,
            tick=report.tick,
            asked_to_stop=_stop_event(),
        )
        # Prefect draws its edges by the identity of a result and of what it holds: with a home of its own, an
        # artifact leads to the run that wrote it and not to the project's last one.
        run = replace(attended.run, home=replace(attended.run.home))
        tell(Notice(step=step.name, task=task, news=run))
        _finish(report, run, hurry=attended.interrupt is not None)
        return outcome_of(run, attended.interrupt)

    def _in_context(self, environ: Mapping[str, str]) -> RunOptions:
        """Return options with what Prefect's contexts know of the run: its tags, its flow run, what it is for.

        In a flow, an earlier run may answer unless somebody says no.
        """
        options, context, flow = self.ordered.options, TaskRunContext.get(), FlowRunContext.get()
        if context is None:
            return options
        task_run = context.task_run
        if flow is None or flow.flow_run is None:
            return replace(options, tags=tuple(sorted({*options.tags, *task_run.tags})))
        tags = {*options.tags, *task_run.tags, *flow.flow_run.tags}  # a deployment's stand there only
        note = f"Prefect flow run {flow.flow_run.name} ({flow.flow_run.id}), task run {task_run.id}"
        caller = Caller(
            task_run=task_run.id,
            task_key=task_run.task_key,
            dynamic_key=task_run.dynamic_key,
            name=task_run.name,
            # Elsewhere, the flow's process is known only if the task was sent from there (see `sent`).
            process=self.flow_process if flow.detached else Process.this(),
        )
        return replace(
            options,
            tags=tuple(sorted(tags)),
            note=options.note or note,
            reuse=environ.get("NBPROD_REUSE", "1") != "0" if options.reuse is None else options.reuse,
            occasion=_occasion(flow, context),
            flow_run=str(flow.flow_run.id),
            caller=caller.to_json(),
        )


def _finish(report: Report, run: Run, *, hurry: bool) -> None:
    """Tell Prefect of the finished run; the record stands, whatever goes wrong in here."""
    try:
        report.finish(run, hurry=hurry)
    except FlowRunTimeoutError:
        raise
    except Exception:
        logging.getLogger(__name__).exception("the end of a run could not be told to Prefect")


def _occasion(flow: FlowRunContext, context: TaskRunContext) -> str:
    """Return what a call is for: the flow, its logical date, and the call's number among those of its task.

    The same for each attempt of a task run, and for the same call when its flow is tried again; the runner adds the
    request. The logical date is the scheduled start: Prefect sets it to the creation for runs without a schedule.
    """
    run = flow.flow_run
    date = None if run is None else run.expected_start_time or run.created
    name = "" if flow.flow is None else flow.flow.name
    return f"{name} {'' if date is None else date.isoformat()} {context.task_run.dynamic_key}"


class _Never:
    def __call__(self) -> bool:
        return False


def _stop_event() -> Any:
    """Return a question: does Prefect's task runner want this task to stop?

    The thread runner sets an event per task run when its flow is ended by a signal, and then waits for the task.
    The event has no public name.
    """
    context, flow = TaskRunContext.get(), FlowRunContext.get()
    if context is None or flow is None:
        return _Never()
    event = getattr(flow.task_runner, "_cancel_events", {}).get(context.task_run.id)
    return _Never() if event is None else event.is_set
