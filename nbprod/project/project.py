"""The composition root: settings read, store and ledger opened, steps found, jobs run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbprod.attest.keyring import key_folder
from nbprod.digest import Digest, Json
from nbprod.environment.probe import EnvironmentProbe
from nbprod.errors import CallerError, NotFound
from nbprod.execution.cancel import CancelToken
from nbprod.execution.events import Listener
from nbprod.execution.fork_servers import ForkServers, Warmth
from nbprod.execution.head_start import HeadStart
from nbprod.execution.supervisor import Supervisor
from nbprod.ledger import RunQuery, RunRow
from nbprod.masking import Masker
from nbprod.notebook import Notebook
from nbprod.parameters import Text, bind
from nbprod.project.home import Home
from nbprod.project.labels import run_name
from nbprod.project.output import output_at, refuse_loss
from nbprod.project.run import ArtifactFile, Run
from nbprod.project.settings import Settings, find_root, read_settings
from nbprod.project.steps import find_step
from nbprod.record.ids import RunId
from nbprod.record.launch import LEAN, NBCLIENT
from nbprod.record.request import RunRequest
from nbprod.record.run_record import RunRecord
from nbprod.record.status import Status
from nbprod.runner import Job, Ports, Runner, Upstream
from nbprod.step.reuse import NO_REUSE, Reuse
from nbprod.step.step import Step, StepSettings
from nbprod.store import Delivery

__all__ = ["Project", "RunOptions"]

_ARTIFACT = "nbprod:"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How one run differs from what its step's settings say; None: as they say.

    Args:
        name: a name for people.
        tags: for people, to find it by.
        note: a note for people.
        output: where to write the executed notebook as well: a path, or an address such as `s3://bucket/key`.
        cwd: working directory.
        kernel: name of the kernel spec.
        timeout: seconds for all cells together.
        cell_timeout: seconds for each cell.
        start_timeout: seconds until the kernel answers.
        report_mode: hide the code in the executed notebook.
        reuse: whether an earlier run may answer where the step's settings leave it open; None: no.
        occasion: what the run is for (see `Job.occasion`).
        retry_of: the run that this one tries again.
        flow_run: the flow run that it belongs to.
        caller: what its caller needs to find its way back from the run (see `RunStarted.caller`).
        driver: who executes the cells: `lean` or `nbclient`.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    output: Path | str | None = None
    cwd: Path | None = None
    kernel: str | None = None
    timeout: float | None = None
    cell_timeout: float | None = None
    start_timeout: float | None = None
    report_mode: bool = False
    reuse: bool | None = None
    occasion: str | None = None
    retry_of: RunId | None = None
    flow_run: str | None = None
    caller: Mapping[str, Json] = field(default_factory=dict)
    driver: str | None = None


@dataclass(slots=True)
class _Engine:
    """What a process keeps for a project: supervisor, probe and runner; never handed to another process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    pid: int = 0
    runner: Runner | None = None
    supervisor: Supervisor | None = None
    forks: ForkServers | None = None


class Project:
    """A project: a root folder with notebooks, its settings, store and ledger. Safe for use by many threads.

    Args:
        root: the project's root.
        settings: read from pyproject.toml.
        environ: the environment that kernels inherit.
    """

    def __init__(self, root: Path, settings: Settings, environ: Mapping[str, str]) -> None:
        self.root = root
        self.settings = settings
        self.environ = environ
        folder = root / settings.home
        self.home = Home(
            root=root,
            folder=folder,
            store_url=settings.store or str(folder / "store"),
            ledger_url=settings.ledger or str(folder / "ledger.db"),
        )
        self.keys = key_folder(settings.keys, environ, root)
        """The folder of the keys that sign; None where nothing is signed."""
        self._engine = _Engine()
        self._ahead: HeadStart | None = None

    def take(self, ahead: HeadStart | None) -> None:
        """Take over a fork server that was started before anything was known; the first run may use it."""
        self._ahead = ahead

    @classmethod
    def find(cls, start: Path | None = None, environ: Mapping[str, str] | None = None) -> Project:
        """Find the project that a folder belongs to and read its settings.

        Args:
            start: where to look from; the current folder by default.
            environ: the environment; this process's by default.

        Raises:
            SettingsError: the settings are wrong.
        """
        environ = os.environ if environ is None else environ
        root = find_root(Path.cwd() if start is None else start)
        return cls(root, read_settings(root, environ), environ)

    # --- steps ---------------------------------------------------------------------------------

    def step(self, what: str | os.PathLike[str]) -> Step:
        """Load a step by its name in the settings, its notebook's path or address, or a published one by its version.

        Args:
            what: a name; a path relative to the current folder or to the root; an address that fsspec reads
                (`s3://…`, `https://…`); or `NAME@VERSION`, `NAME@ALIAS`.

        Raises:
            NotFound: neither a step nor a notebook is called so.
            NotebookInvalid: the notebook cannot be read.
        """
        return find_step(what, self)

    def step_from_bytes(self, data: bytes, name: str, folder: Path) -> Step:
        """Make a step of a notebook that has no file (standard input).

        Raises:
            NotebookInvalid: the bytes are no notebook.
        """
        settings = self.settings.steps.get(name, StepSettings())
        notebook = Notebook.parse(data)
        return Step(name=name, notebook=notebook, data=data, path=None, folder=folder, settings=settings)

    # --- running -------------------------------------------------------------------------------

    def job(self, step: Step, parameters: Mapping[str, Any], options: RunOptions) -> Job:
        """Bind parameters and options: all that can be wrong with them is refused here.

        Args:
            step: what to run.
            parameters: values; `Text` for those from a command line; artifacts of other runs as ArtifactFile or as
                text `nbprod:RUN/NAME`.
            options: how this run differs.

        Raises:
            ParameterError: unknown, missing or ill-typed parameters.
            CallerError: no such driver; the output would overwrite what no run could bring back (see `refuse_loss`).
        """
        upstream: dict[str, Upstream] = {}
        given: dict[str, Any] = {}
        for name, value in parameters.items():
            artifact = self._artifact(value)
            if artifact is None:
                given[name] = value
            else:
                upstream[name] = artifact.upstream
                given[name] = artifact.path()
        bound = bind(step.schema, given, what=step.name)
        settings = step.settings.with_changes(
            kernel=options.kernel,
            timeout=options.timeout,
            cell_timeout=options.cell_timeout,
            start_timeout=options.start_timeout,
        )
        common = self.settings
        settings = replace(
            settings,
            trace=common.trace if settings.trace is None else settings.trace,
            roots=tuple(dict.fromkeys((*common.roots, *settings.roots))),
            keep_inputs=common.keep_inputs if settings.keep_inputs is None else settings.keep_inputs,
        )
        output = None if options.output is None else output_at(options.output)
        if output is not None:
            refuse_loss(output, step, self.home)
        folder = step.folder if options.cwd is None else options.cwd.absolute()
        changed = replace(step, folder=folder, settings=settings)
        return Job(
            step=changed,
            parameters=bound,
            upstream=upstream,
            name=None if options.name is None else run_name(options.name),
            tags=options.tags,
            note=options.note,
            output=output,
            report_mode=options.report_mode,
            reuse=_reuse(step.settings.reuse, asked=options.reuse),
            occasion=options.occasion,
            retry_of=options.retry_of,
            flow_run=options.flow_run,
            caller=options.caller,
            driver=_driver(options.driver, common.driver),
        )

    def _artifact(self, value: Any) -> ArtifactFile | None:
        if isinstance(value, ArtifactFile):
            return value
        text = value.text if isinstance(value, Text) else value
        if not isinstance(text, str) or not text.startswith(_ARTIFACT):
            return None
        run, slash, name = text.removeprefix(_ARTIFACT).partition("/")
        if not slash:
            raise CallerError(
                f"{text!r} names no artifact", expected="nbprod:RUN/ARTIFACT, e.g. nbprod:train@latest/m.skops"
            )
        return (self._latest_good(run) or self.run(run)).artifacts[name]

    def _latest_good(self, text: str) -> Run | None:
        """Return the last good run if `STEP@latest` asks for an artifact; a reproduction only if there is no other."""
        step, at, rest = text.partition("@")
        if not at or rest != "latest":
            return None
        good = tuple(status for status in Status if status.good)
        first: Run | None = None
        for run in self.runs(RunQuery(steps=(step,) if step else (), statuses=good)):
            if run.record.labels.reproduces is None:
                return run
            first = first or run
        return first

    def run_job(
        self,
        job: Job,
        *,
        cancel: CancelToken | None = None,
        listener: Listener | None = None,
        on_start: Callable[[RunId], None] | None = None,
    ) -> Run:
        """Run a job to its end, good or bad (see `Runner.run`)."""
        runner = self._runner()
        self.home.deliver()  # what an earlier run left waiting goes first
        record = runner.run(job, cancel=cancel, listener=listener, on_start=on_start)
        return Run(record, self.home)

    def ports_in(self, root: Path, environ: Mapping[str, str], zone: str) -> Ports:
        """Return what a runner needs in another folder: this project's store, ledger and keys; no kernel is forked."""
        return replace(self._runner().ports, root=root, environ=environ, zone=zone, warmth=Warmth(on=False))

    def foresee(self, job: Job) -> RunRequest:
        """Return what a job would ask for if it were run; nothing is started, and nothing of it is left."""
        return self._runner().foresee(job).request

    def masker_of(self, step: Step) -> Masker:
        """Return what masks a step's secrets; refuses where one of them cannot be had."""
        return self._runner().masker_of(step)

    def environment_of(self, step: Step) -> Digest:
        """Return the digest of the environment key that a step's runs would have now; the key is in the store."""
        return self._runner().environment_of(step)

    def now(self) -> datetime:
        """Return the present moment; aware, UTC."""
        return datetime.now(UTC)

    def _runner(self) -> Runner:
        engine = self._engine
        with engine.lock:
            if engine.runner is None or engine.pid != os.getpid():
                self._make_home()
                engine.supervisor, engine.forks = Supervisor(), ForkServers(self.settings.kernels.idle, self._ahead)
                ports = Ports(
                    store=self.home.store,
                    ledger=self.home.ledger,
                    supervisor=engine.supervisor,
                    probe=EnvironmentProbe(self.home.folder / "cache"),
                    folder=self.home.folder,
                    root=self.root,
                    environ=self.environ,
                    forks=engine.forks,
                    warmth=self.settings.kernels,
                    keys=self.keys,
                    private=self.settings.secret_files(self.root),
                )
                engine.runner, engine.pid = Runner(ports), os.getpid()
            return engine.runner

    def close(self) -> None:
        """End this process's supervisor and fork servers, once their runs have ended; the next run starts others."""
        engine = self._engine
        with engine.lock:
            if engine.supervisor is not None and engine.forks is not None and engine.pid == os.getpid():
                engine.forks.drop_all()
                engine.supervisor.close()

    def _make_home(self) -> None:
        folder = self.home.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            ignore = folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise CallerError(
                f"nbprod cannot keep anything in {folder}",
                found=error.strerror,
                hint="Grant the right to write there, or set NBPROD_HOME to another folder.",
            ) from error

    # --- looking back --------------------------------------------------------------------------

    def run(self, text: str) -> Run:
        """Return a finished run.

        Args:
            text: an id, the beginning or end of one, a name, `@latest` or `STEP@latest`.

        Raises:
            NotFound: there is none, or it has not finished.
        """
        if not self.home.has_ledger():
            raise NotFound(
                f"there are no runs in {self.root}", hint="Run a notebook first, or go to the project's folder."
            )
        run_id = self.home.ledger.find(text)
        row = self.home.ledger.run(run_id)
        if row.record is None:
            raise NotFound(
                f"run {run_id} has no record yet: it is still running",
                hint=f"Follow it with `nbprod logs -f {run_id.short}`.",
            )
        return self._handle(row)

    def _handle(self, row: RunRow) -> Run:
        assert row.record is not None  # noqa: S101 - asked before
        return Run(RunRecord.from_bytes(self.home.read(row.record, row.run_id)), self.home)

    def runs(self, query: RunQuery) -> Iterator[Run]:
        """Return the finished runs that a query finds."""
        if not self.home.has_ledger():
            return iter(())
        return (self._handle(row) for row in self.home.ledger.runs(query) if row.record is not None)

    def recover(self) -> list[RunId]:
        """Close the runs whose runner and supervisor are gone.

        Returns:
            The runs that were closed.
        """
        from nbprod.runner.closer import recover  # noqa: PLC0415 - rarely needed

        return recover(self.home.store, self.home.ledger) if self.home.has_ledger() else []

    def deliver(self) -> Delivery:
        """Hand over to the store what waits on this machine because the store could not be reached."""
        return self.home.deliver()

    def exists(self) -> bool:
        """Return whether anything was ever kept here."""
        return self.home.folder.is_dir() or self.settings.ledger is not None

    def __repr__(self) -> str:
        """Return the project's place."""
        return f"<Project {self.root}>"


def _driver(asked: str | None, setting: str) -> str:
    if asked not in (None, LEAN, NBCLIENT):
        raise CallerError("there is no such driver", expected=f"{LEAN} or {NBCLIENT}", found=repr(asked))
    return asked or setting


def _reuse(setting: Reuse | None, *, asked: bool | None) -> Reuse:
    """Return whether an earlier run may answer: whoever says no is heeded; how much must be the same, the step says."""
    return (setting or Reuse()) if asked and setting != NO_REUSE else NO_REUSE
