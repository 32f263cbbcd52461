"""One run, from a job to a record."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from datetime import datetime
from functools import partial

from nbprod.digest import Digest
from nbprod.execution.cancel import CancelToken
from nbprod.execution.driven import Deadlines, Driven, NeverLaunched, Stop
from nbprod.execution.events import Event, Listener
from nbprod.execution.held import HeldStreams
from nbprod.execution.journal import Journal, read_journal
from nbprod.execution.kernel import Kernel
from nbprod.execution.outputs import Collector, OutputLimits
from nbprod.execution.replay import replay
from nbprod.kernels.bootstrap import Observed
from nbprod.kernels.spec import find_kernel_spec
from nbprod.ledger.errors import AlreadyUnderWay
from nbprod.masking import Masker
from nbprod.record.ids import RunId
from nbprod.record.launch import FORKED, Launch
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status
from nbprod.runner.answer import Asked, answer, retried
from nbprod.runner.begin import begin
from nbprod.runner.conclude import Conclusion, Ended, conclude
from nbprod.runner.copies import Copies
from nbprod.runner.early import EarlyUploads
from nbprod.runner.job import Job
from nbprod.runner.launching import driver_of, launch
from nbprod.runner.leases import Leases
from nbprod.runner.ports import Ports
from nbprod.runner.prepare import Prepared, describe, keep_environment, prepare
from nbprod.runner.started import RunFolder, Started
from nbprod.runner.values import places_of
from nbprod.step.step import Step

__all__ = ["Runner"]

_SHUTDOWN_GRACE = 5.0
"""Seconds that a kernel gets for its exit handlers after it was asked to shut down."""


class Runner:
    """Runs jobs. One runner serves many threads.

    Args:
        ports: the outside world.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._leases = Leases(ports.ledger)

    def run(
        self,
        job: Job,
        *,
        cancel: CancelToken | None = None,
        listener: Listener | None = None,
        on_start: Callable[[RunId], None] | None = None,
    ) -> RunRecord:
        """Run a job to its end, whatever that is.

        Args:
            job: what to run; its parameters are bound.
            cancel: stops the run when it is asked to.
            listener: hears of cells and of what they print.
            on_start: hears the run's id once its start is in the ledger.

        Returns:
            The record: succeeded or not. Bad endings are not raised.

        Raises:
            CallerError: refused before anything started (no such kernel, working directory, secret …).
            EnvironmentFault: store or ledger do not work.
        """
        token = cancel if cancel is not None else CancelToken()
        try:
            return self._answer_or_run(job, token, listener, on_start)
        finally:
            if cancel is None:
                token.close()

    @property
    def ports(self) -> Ports:
        """The outside world that it works with."""
        return self._ports

    def foresee(self, job: Job) -> Started:
        """Return what would be known of a run at its start; nothing is started, and nothing of it is left.

        Raises:
            CallerError: the run would be refused.
        """
        prepared = prepare(job, self._ports)
        try:
            return describe(prepared, self._ports)
        finally:
            shutil.rmtree(prepared.folder.path, ignore_errors=True)

    def masker_of(self, step: Step) -> Masker:
        """Return what masks a step's secrets.

        Raises:
            CallerError: one of them cannot be had, or not be masked.
        """
        return Masker(self._ports.secrets_of(step), places_of(step.settings.secrets))

    def environment_of(self, step: Step) -> Digest:
        """Return the digest of the environment key that a step's runs would have now; the key is in the store.

        Raises:
            NotFound: its kernel spec is not installed.
        """
        return keep_environment(find_kernel_spec(step.kernel_name), self.masker_of(step), self._ports)[0]

    def _answer_or_run(
        self, job: Job, token: CancelToken, listener: Listener | None, on_start: Callable[[RunId], None] | None
    ) -> RunRecord:
        begun = self._ports.monotonic()
        shared, behind = bool(job.reuse), None
        while True:
            prepared = prepare(job, self._ports)
            started: Started | None = None
            if job.reuse or job.occasion is not None:
                ask = partial(Asked, ports=self._ports, cancel=token, begun=begun, behind=behind, on_start=on_start)
                started, found = self._ask(prepared, ask)
                if found is not None:
                    return found
            try:
                return self._run(
                    prepared, started, token=token, listener=listener, on_start=on_start, begun=begun, shared=shared
                )
            except AlreadyUnderWay as other:
                # Somebody was faster by a moment. Where its runner has vanished, nobody waits for it.
                shared = not other.lapsed and not token
                behind = other.run_id if shared else None

    def _ask(self, prepared: Prepared, ask: Callable[..., Asked]) -> tuple[Started, RunRecord | None]:
        """Find out whether another run answers; return what was learnt of this one's start, and the answer."""
        folder = prepared.folder
        try:
            started = describe(prepared, self._ports)
            found = answer(ask(prepared=prepared, started=started))
        except BaseException as error:
            _leave_nothing(folder, error)
            raise
        if found is not None:
            shutil.rmtree(folder.path, ignore_errors=True)
        return started, found

    def _run(
        self,
        prepared: Prepared,
        started: Started | None,
        *,
        token: CancelToken,
        listener: Listener | None,
        on_start: Callable[[RunId], None] | None,
        begun: float,
        shared: bool,
    ) -> RunRecord:
        ports = self._ports
        kernel: Kernel | None = None
        try:
            if started is None:
                kernel = launch(prepared, ports)
                started = describe(prepared, ports)  # while the kernel starts
            started = begin(prepared, started, ports, shared=shared, retry_of=retried(prepared, ports))
        except BaseException as error:
            if kernel is not None:
                kernel.release()
            _leave_nothing(prepared.folder, error)
            raise
        if kernel is None:  # many may have asked for it: only the one whose start the ledger took launches a kernel
            kernel = self._launch_begun(prepared, started, begun)
        self._leases.add(prepared.run_id, token)
        problem: BaseException | None = None
        try:
            if on_start is not None:
                on_start(prepared.run_id)
            try:
                ended, problem = self._drive(prepared, kernel, token, listener, begun)
            except NeverLaunched as never:
                kernel.disown()
                if not never.refused:
                    ports.forks.failed(kernel.preload)
                kernel = launch(prepared, ports, why=str(never))
                ended, problem = self._drive(prepared, kernel, token, listener, begun)
            conclusion, copies = self._conclude(prepared, started, ended)
            kernel.release()
        except BaseException:
            kernel.abandon()
            raise
        finally:
            self._leases.remove(prepared.run_id)
        self._leave(prepared, conclusion, copies)
        if problem is not None:
            raise problem
        return conclusion.record

    # --- before --------------------------------------------------------------------------------

    def _launched(self, kernel: Kernel) -> Launch:
        if kernel.launch.how == FORKED:
            self._ports.forks.worked(kernel.preload)
        return kernel.launch

    def _launch_begun(self, prepared: Prepared, started: Started, begun: float) -> Kernel:
        """Launch the kernel of a run whose start is committed; if that fails, the run ends as `crashed`."""
        try:
            return launch(prepared, self._ports)
        except BaseException as error:
            settings = prepared.job.step.settings
            limits = OutputLimits(cell=settings.cell_output_limit, run=settings.run_output_limit)
            collector, driven = _what_was(prepared, limits, error)
            ended = self._ended(prepared, driven, collector, begun)
            self._leave(prepared, *self._conclude(prepared, started, ended))
            raise

    # --- during --------------------------------------------------------------------------------

    def _drive(
        self, prepared: Prepared, kernel: Kernel, cancel: CancelToken, listener: Listener | None, begun: float
    ) -> tuple[Ended, BaseException | None]:
        """Execute the cells; return what is known then, and what went wrong on our side of the kernel, if anything."""
        settings = prepared.job.step.settings
        collector = Collector(OutputLimits(cell=settings.cell_output_limit, run=settings.run_output_limit))
        heard = _Guarded(listener)
        # The uploads are left last: the end is noted, and the kernel gone, before one that is under way is waited for.
        # Those of a run with secrets are looked through first, once nobody writes them any more (law 7).
        uploads = None if prepared.secrets else self._ports.store
        with EarlyUploads(uploads, prepared.folder.output), Journal(prepared.folder.journal) as journal:
            driver = driver_of(kernel)(
                plan=prepared.plan,
                client=kernel.client,
                keeper=kernel.keeper,
                collector=collector,
                journal=journal,
                deadlines=Deadlines(
                    start=settings.start_timeout,
                    cell=settings.cell_timeout,
                    run=settings.timeout,
                    grace=settings.grace,
                ),
                cancel=cancel,
                listener=heard,
                interrupt_by_message=prepared.spec.interrupt_mode == "message",
                launched=lambda: self._launched(kernel),
                explain_death=lambda: prepared.masker.mask_text(kernel.explain_death()),
                held=HeldStreams(prepared.masker) if prepared.secrets else None,
            )
            problem: BaseException | None = None
            try:
                observed = _observed(prepared)
                driven = driver.drive((lambda client: client.prepare(observed)) if prepared.spec.is_ipykernel else None)
                if _alive(driven.stop):
                    driver.see_out(_SHUTDOWN_GRACE)
                kernel.end()
                _write_ended(journal, self._ports.now(), driven.stop, self._ports.monotonic() - begun)
            except NeverLaunched:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it was, the run ends truly and then it is raised
                problem = error
                kernel.end()
                collector, driven = _what_was(prepared, collector.limits, error)
            ended = self._ended(prepared, driven, collector, begun, notes=heard.notes, launch=kernel.launch)
        return ended, problem

    def _ended(
        self,
        prepared: Prepared,
        driven: Driven,
        collector: Collector,
        begun: float,
        *,
        notes: tuple[str, ...] = (),
        launch: Launch | None = None,
    ) -> Ended:
        return Ended(
            plan=prepared.plan,
            outcomes=driven.cells,
            collector=collector,
            stop=driven.stop,
            language_info=driven.language_info,
            at=self._ports.now(),
            seconds=self._ports.monotonic() - begun,
            collects=prepared.bound.collects,
            notes=notes,
            masker=prepared.masker,
            launch=launch,
        )

    # --- after ---------------------------------------------------------------------------------

    def _conclude(self, prepared: Prepared, started: Started, ended: Ended) -> tuple[Conclusion, Copies]:
        """Close the run, and meanwhile begin to write the copies of its notebook."""
        copies = Copies(prepared.folder.executed(prepared.job.step.name), prepared.job.output)
        try:
            ports = self._ports
            conclusion = conclude(started, ended, prepared.folder, ports.store, ports.ledger, executed=copies.begin)
        except BaseException:
            copies.discard()
            raise
        return conclusion, copies

    def _leave(self, prepared: Prepared, conclusion: Conclusion, copies: Copies) -> None:
        """Leave the executed notebook where people look for it, and nothing else."""
        copies.leave_folder(conclusion.notebook)
        tidy(prepared.folder)
        copies.leave_output(conclusion.notebook, prepared.run_id, self._ports.ledger)


def _leave_nothing(folder: RunFolder, error: BaseException) -> None:
    """Remove the folder of a run that does not begin; not where its start may be committed: recovery needs it then."""
    if isinstance(error, AlreadyUnderWay) or not folder.started.exists():
        shutil.rmtree(folder.path, ignore_errors=True)


def tidy(folder: RunFolder, *, output: bool = True) -> None:
    """Remove the working files of a closed run: what they held is in the store.

    Args:
        folder: the run's.
        output: the output folder, too.
    """
    if output:
        shutil.rmtree(folder.output, ignore_errors=True)
    shutil.rmtree(folder.listings, ignore_errors=True)
    for path in (folder.journal, folder.prepared, folder.started, folder.kernel_log, folder.trace):
        with contextlib.suppress(OSError):
            path.unlink()


class _Guarded:
    """Passes events on to the caller's listener until that fails: a broken terminal must not end a run."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self.notes: tuple[str, ...] = ()

    def __call__(self, event: Event) -> None:
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - the caller's code, about which nothing is known
            self._listener = None
            self.notes = (f"whoever listened to this run failed and heard no more: {type(error).__name__}: {error}",)


def _write_ended(journal: Journal, at: datetime, stop: Stop | None, seconds: float) -> None:
    """The last event: from here on the run's ending is known, whoever writes it into the ledger."""
    status, reason = (None, "") if stop is None else (str(stop.status), stop.reason)
    journal.event("ended", at, status=status, reason=reason, seconds=seconds)
    journal.sync(force=True)


def _what_was(prepared: Prepared, limits: OutputLimits, error: BaseException) -> tuple[Collector, Driven]:
    """Return what the journal holds of a run that we could not see to its end, and why."""
    if isinstance(error, Exception):
        told = prepared.masker.mask_text(f"{type(error).__name__}: {error}")
        stop = Stop(Status.CRASHED, f"nbprod could not go on: {told}")
    else:  # KeyboardInterrupt, SystemExit, and what flow runners raise in their threads
        stop = Stop(Status.CANCELLED, f"the calling program was interrupted ({type(error).__name__})")
    collector = Collector(limits)
    outcomes, language_info = replay(read_journal(prepared.folder.journal), prepared.plan, collector)
    return collector, Driven(cells=outcomes, stop=stop, language_info=language_info)


def _observed(prepared: Prepared) -> Observed | None:
    scope = prepared.scope
    if scope.why_off:
        return None
    return Observed(file=prepared.folder.trace, roots=(scope.root, *scope.roots), own=prepared.folder.path)


def _alive(stop: Stop | None) -> bool:
    return stop is None or stop.status not in (Status.KERNEL_DIED, Status.CRASHED)
