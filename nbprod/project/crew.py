"""Running a sweep: some threads, one supervisor, and an end that tells what became of every setting."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from nbprod.errors import CallerError, KernelUnavailable, NbprodError
from nbprod.execution.cancel import CancelToken
from nbprod.execution.events import Event
from nbprod.ledger import RunQuery
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.project.sweep import Plan, Setting
from nbprod.project.swept import Point, Sweep
from nbprod.record.ids import RunId

__all__ = ["News", "run_sweep", "usable_cpus"]

News = Callable[[Point, Event | None], None]
"""Hears, from the threads that run, of a setting that has changed (no event), or of what its run is doing."""

_LOOK_EVERY = 0.1
"""Seconds between two looks at whether somebody wants the sweep to stop."""
_ASK_EVERY = 1.0
"""Seconds between two looks at a run that goes on elsewhere."""


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_sweep(
    project: Project,
    plan: Plan,
    *,
    jobs: int | None = None,
    fail_fast: bool = False,
    cancel: CancelToken | None = None,
    hear: News | None = None,
) -> Sweep:
    """Run the settings of a plan that have no good run yet, some at once.

    A run that ends badly, or that nbprod refuses, does not stop the others. Where store, ledger or nbprod itself fail,
    no more are started, those under way come to their end, and then it is raised.

    Args:
        project: where they run.
        plan: what to run.
        jobs: how many at once; as many as there are usable CPUs by default.
        fail_fast: start no more once one has ended badly; those under way come to their end.
        cancel: its first request ends the runs under way, and no more are started; a second one kills them.
        hear: hears of what happens, one piece of news at a time.

    Raises:
        CallerError: refused before anything started, or another process runs this sweep.
        NbprodError: the store or the ledger do not work, or bytes are not what they claim to be.
    """
    if jobs is not None and jobs < 1:
        raise CallerError("a sweep needs at least one run at once", expected="jobs of 1 or more", found=str(jobs))
    with _alone(project.home.folder / "sweeps" / f"{plan.id}.lock", plan.id):
        crew = _Crew(project, plan, hear, fail_fast=fail_fast)
        crew.take_earlier()
        crew.check_first()
        crew.work(usable_cpus() if jobs is None else jobs, cancel)
        return crew.sweep()


class _Crew:
    """The threads that work on a plan, and what is known of each setting so far."""

    def __init__(self, project: Project, plan: Plan, hear: News | None, *, fail_fast: bool) -> None:
        self._project = project
        self._plan = plan
        self._hear = hear
        self._fail_fast = fail_fast
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._ears = threading.Lock()  # its own: who hears may write to a terminal that stands still
        self._points = {s.number: Point(number=s.number, values=s.values) for s in plan.settings}
        self._waiting: deque[Setting] = deque()
        self._tokens: dict[int, CancelToken] = {}
        self._stopped = False
        self._heeded = 0
        self._problem: BaseException | None = None

    def take_earlier(self) -> None:
        """Keep the good runs of before; put last what another process is running."""
        elsewhere: list[Setting] = []
        for setting in self._plan.settings:
            row = self._plan.earlier.get(setting.key)
            if self._plan.kept(setting) is not None and row is not None:
                self._keep(setting, self._project.run(str(row.run_id)))
            elif row is not None and row.status is None:
                elsewhere.append(setting)
            else:
                self._waiting.append(setting)
        self._waiting.extend(elsewhere)

    def check_first(self) -> None:
        """Refuse what would be wrong with every run, such as a missing kernel or secret, while nothing has started."""
        if self._waiting:
            self._project.foresee(self._waiting[0].job)

    def work(self, jobs: int, cancel: CancelToken | None) -> None:
        """Run what waits, and come back when nothing is under way any more."""
        threads = [
            threading.Thread(target=self._work, name=f"nbprod-sweep-{number}")
            for number in range(min(jobs, len(self._waiting)))
        ]
        while True:
            try:
                self._attend(threads, cancel)
                break
            except BaseException as error:  # noqa: BLE001 - Ctrl-C in a program of the caller's, raised once the runs have ended
                with self._lock:
                    self._problem = self._problem or error
                self._stop(f"the calling program was interrupted ({type(error).__name__})")
        if self._problem is not None:
            raise self._problem

    def _attend(self, threads: list[threading.Thread], cancel: CancelToken | None) -> None:
        """Wait until nothing is under way, and heed requests meanwhile.

        What is waited for is the work and not the threads: `join` that is interrupted takes a thread for ended (Python
        3.11, gh-90882).
        """
        for thread in threads:
            if thread.ident is None and not self._stopped:
                thread.start()
        while True:
            with self._idle:
                if not self._tokens and (self._stopped or not self._waiting):
                    return
                self._idle.wait(_LOOK_EVERY)
            while cancel is not None and self._heeded < cancel.requests:
                self._heeded += 1
                self._stop(cancel.reason)

    def sweep(self) -> Sweep:
        """Return what became of it."""
        points = tuple(self._points[setting.number] for setting in self._plan.settings)
        return Sweep(id=self._plan.id, step=self._plan.step.name, points=points)

    # --- in the threads ------------------------------------------------------------------------

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            setting, token = taken
            try:
                self._run(setting, token)
            except BaseException as error:  # noqa: BLE001 - whatever it was, it is raised where the sweep was called
                with self._lock:
                    self._problem = self._problem or error
                    self._stopped = True
            finally:
                with self._lock:
                    del self._tokens[setting.number]
                    self._idle.notify_all()
                token.close()

    def _take(self) -> tuple[Setting, CancelToken] | None:
        with self._lock:
            if self._stopped or not self._waiting:
                return None
            setting = self._waiting.popleft()
            token = self._tokens[setting.number] = CancelToken()
            return setting, token

    def _stop(self, reason: str) -> None:
        """Start no more and end what is under way; called again, kill it."""
        with self._lock:
            self._stopped = True
            for token in self._tokens.values():
                token.cancel(reason)

    def _run(self, setting: Setting, token: CancelToken) -> None:
        found = self._of_others(setting, token)
        if found is not None:
            self._keep(setting, found)
            return
        if token:
            return  # asked to stop while it waited for another process's run: this one was never started
        started: list[RunId] = []

        def begun(run_id: RunId) -> None:
            started.append(run_id)
            self._change(setting, run_id=run_id)

        try:
            run = self._project.run_job(
                setting.job, cancel=token, listener=partial(self._tell, setting.number), on_start=begun
            )
        except NbprodError as error:
            self._change(setting, error=error, run=self._ended(started), run_id=started[0] if started else None)
            self._note_bad()
            if not isinstance(error, CallerError | KernelUnavailable):
                raise  # what every other run would meet, too
            return
        if not started:  # one that was begun in the meantime, and waited for, is the answer (see `answer`)
            self._keep(setting, run)
            return
        self._change(setting, run=run)
        if not run:
            self._note_bad()

    def _ended(self, started: list[RunId]) -> Run | None:
        """Return the record of a run that nbprod could not go on with, where it has one."""
        with contextlib.suppress(NbprodError):
            return self._project.run(str(started[0])) if started else None
        return None

    def _note_bad(self) -> None:
        with self._lock:
            self._stopped = self._stopped or self._fail_fast

    def _of_others(self, setting: Setting, token: CancelToken) -> Run | None:
        """Wait for a run of this setting that goes on elsewhere; return it if it ends well."""
        row = self._plan.earlier.get(setting.key)
        if row is None or row.status is not None:
            return None
        ledger = self._project.home.ledger
        self._change(setting, run_id=row.run_id)
        asked = 0.0
        while row.status is None and not token:
            if time.monotonic() - asked >= _ASK_EVERY:
                asked = time.monotonic()
                row = next(ledger.runs(RunQuery(occasion=setting.job.occasion, limit=1)), row)
                if row.status is None and any(lapsed.run_id == row.run_id for lapsed in ledger.lapsed()):
                    break  # its runner has vanished: nobody waits for it
            time.sleep(_LOOK_EVERY)
        good = row.status is not None and row.status.good
        if not good:
            self._change(setting, run_id=None)
        return self._project.run(str(row.run_id)) if good else None

    # --- what is known -------------------------------------------------------------------------

    def _keep(self, setting: Setting, run: Run) -> None:
        older = run.record.request.source != self._plan.step.source
        self._change(setting, run=run, run_id=run.id, kept=True, older=older)

    def _change(
        self,
        setting: Setting,
        *,
        run: Run | None = None,
        run_id: RunId | None = None,
        kept: bool = False,
        older: bool = False,
        error: NbprodError | None = None,
    ) -> None:
        with self._lock:
            before = self._points[setting.number]
            known = run.id if run is not None else run_id
            after = replace(before, run=run, run_id=known, kept=kept, older=older, error=error)
            self._points[setting.number] = after
        self._tell(setting.number, None)

    def _tell(self, number: int, event: Event | None) -> None:
        with self._ears:
            if self._hear is None:
                return
            try:
                self._hear(self._points[number], event)
            except Exception:  # noqa: BLE001 - the caller's code: a terminal that is gone must not end the runs
                self._hear = None


@contextmanager
def _alone(path: Path, sweep_id: str) -> Iterator[None]:
    """Hold a sweep's lock, so that no other process on this machine runs a setting of it at the same time.

    Raises:
        CallerError: another one holds it.
    """
    try:
        descriptor = _lock(path)
    except BlockingIOError as error:
        raise CallerError(
            f"sweep {sweep_id} is under way",
            found=f"another process on this machine holds {path}",
            hint="Let it end, or stop it, and then go on with --resume.",
        ) from error
    except OSError:
        descriptor = None  # a file system without locks: runs under way are seen in the ledger all the same
    try:
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _lock(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever held it before has removed the file: another one is there now
