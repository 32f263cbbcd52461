"""`notebook(...)`: a notebook as a real Prefect task."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prefect import Flow, Task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from nbprod.errors import CallerError
from nbprod.flow.alone import flow_of
from nbprod.flow.arguments import EXTRA, shown_signature
from nbprod.flow.call import NotebookCall, Ordered, project_at
from nbprod.flow.states import result_of, worth_retrying
from nbprod.project import RunOptions
from nbprod.project.settings import find_root

__all__ = ["NotebookTask", "notebook"]

_NO_CACHING = ("cache_policy", "cache_key_fn", "cache_expiration", "refresh_cache", "result_storage_key")


class NotebookTask(Task[..., Any]):
    """A Prefect task that runs a notebook and returns its `Run`; made by `notebook`."""

    fn: NotebookCall

    def __init__(self, fn: NotebookCall, **options: Any) -> None:
        _refuse_caching(options)
        options.setdefault("retry_condition_fn", worth_retrying)
        options.setdefault("task_run_name", fn.name_of_run)
        super().__init__(fn, cache_policy=NO_CACHE, **options)
        # Prefect makes keys from a function's code, which all notebook tasks share.
        self.task_key = f"notebook-{fn.ordered.notebook}"

    def __call__(self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        """Run the notebook; return its run.

        Raises:
            RunNotSuccessful: the run ended otherwise than well.
        """
        result = super().__call__(*args, return_state=return_state, wait_for=wait_for, **kwargs)
        if not isinstance(result, State):
            return result
        try:
            run = result_of(result)
        except BaseException as error:
            if error.__cause__ is not None:
                raise error.__cause__ from None  # the signal, or the flow's time-out, that cancelled the run
            if not return_state:
                raise
        return result if return_state else run

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Run the notebook once per element of its iterable arguments (see `prefect.Task.map`)."""
        if isinstance(kwargs.get(EXTRA), Mapping):
            kwargs[EXTRA] = unmapped(kwargs[EXTRA])
        return Task.map(self._sent(), *args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Run the notebook wherever the flow's task runner takes it (see `prefect.Task.submit`)."""
        return Task.submit(self._sent(), *args, **kwargs)

    def _sent(self) -> NotebookTask:
        return self._twin(self.fn.sent())

    def _twin(self, fn: NotebookCall, changed: Mapping[str, Any] | None = None) -> NotebookTask:
        twin = type(self).__new__(type(self))
        twin.__dict__.update({**self.__dict__, **(changed or {})})
        twin.fn = fn
        twin.__dict__.update(__wrapped__=fn, __signature__=inspect.signature(self), task_key=self.task_key)
        return twin

    def with_options(self, **options: Any) -> NotebookTask:
        """Return a notebook task with other options (see `prefect.Task.with_options`).

        Args:
            options: Prefect's; `timeout_seconds` is nbprod's own deadline. Prefect's cache stays off.
        """
        _refuse_caching(options)
        timeout = options.pop("timeout_seconds", None)
        changed = super().with_options(**options)  # a plain Task: its state is taken over
        return self._twin(self.fn if timeout is None else self.fn.with_timeout(timeout), changed.__dict__)

    def as_flow(self, **options: Any) -> Flow[..., Any]:
        """Return a flow that runs this notebook, with the notebook's types, help and defaults as Prefect's form.

        Args:
            options: of `prefect.Flow`; what a value must be is for the notebook's schema to say, not for Prefect.
        """
        return flow_of(self, options)


def _refuse_caching(options: Mapping[str, Any]) -> None:
    for name in _NO_CACHING:
        if options.get(name) is not None:
            raise CallerError(
                f"a notebook task takes no {name}",
                found="Prefect's cache cannot see what a notebook reads",
                hint="Leave it out.",
            )


def notebook(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    retries: int | None = None,
    timeout_seconds: float | None = None,
    cell_timeout_seconds: float | None = None,
    tags: Iterable[str] = (),
    reuse: bool | None = None,
    kernel: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    **options: Any,
) -> NotebookTask:
    """Make a Prefect task of a notebook. Reads the notebook for its parameters; touches no ledger and no server.

    Args:
        path: a path, relative to the project's root; an address (`s3://…`, `https://…`); a step's name; or a published
            step (`train@3`, `train@production`), of which each run takes the version that the name has then.
        name: the task's name; the step's by default.
        retries: how often a run that failed is tried again.
        timeout_seconds: nbprod's deadline for all cells together; the step's own by default. Prefect never sees it.
        cell_timeout_seconds: the same for each cell.
        tags: for the Prefect task run and for the run.
        reuse: whether an earlier run may answer; None: as the step's settings say, else yes.
        kernel: name of the kernel spec.
        cwd: working directory of the kernel, relative to the project's root.
        root: the project's root; by default that of the calling file's project, or of the current folder's.
        options: any other option of `prefect.Task` but those of its cache.

    Raises:
        NotFound: there is no such notebook or step.
        NotebookInvalid: it cannot be read.
    """
    project = project_at(find_root(_calling_folder()) if root is None else Path(root).absolute())
    ordered = Ordered(
        root=project.root,
        notebook=os.fspath(path),
        options=RunOptions(
            timeout=timeout_seconds,
            cell_timeout=cell_timeout_seconds,
            kernel=kernel,
            reuse=reuse,
            cwd=None if cwd is None else project.root / cwd,
        ),
    )
    step = ordered.step()
    call = NotebookCall(ordered, step)
    task = NotebookTask(call, name=name or step.name, retries=retries, tags=tags, **options)
    task.__dict__["__signature__"] = shown_signature(step.schema)
    return task


def _calling_folder() -> Path:
    """Return the folder of the file that calls `notebook`; the current one where that is no file (a prompt)."""
    file = sys._getframe(2).f_globals.get("__file__")  # noqa: SLF001 - the documented way to a caller
    return Path.cwd() if file is None else Path(file).absolute().parent
