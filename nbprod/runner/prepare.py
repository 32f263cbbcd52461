"""Before a run: all that can be refused is refused, and all that can be known is written down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from nbprod.digest import Digest, Json, canonical
from nbprod.environment.git import GitState, git_state
from nbprod.environment.key import Environment, EnvironmentKey
from nbprod.environment.locks import lock_files
from nbprod.errors import CallerError, EnvironmentFault
from nbprod.execution.plan import Plan
from nbprod.kernels.spec import KernelSpec, find_kernel_spec
from nbprod.masking import Masker
from nbprod.record.ids import RunId
from nbprod.record.request import RunRequest
from nbprod.record.run_record import Kept
from nbprod.runner.job import Job
from nbprod.runner.order import OUTPUT_DIR, Bound, bind_paths, display_path, plain_json, plan_of
from nbprod.runner.ports import Ports
from nbprod.runner.started import RunFolder, Scope, Started
from nbprod.runner.values import of_one_value, places_of, readable_by_others
from nbprod.step.secret import FILE
from nbprod.step.step import KEEP_INPUTS
from nbprod.store.elsewhere import shown_url

__all__ = ["Prepared", "describe", "keep_environment", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that is ready to start: all that can be refused has been checked."""

    run_id: RunId
    at: datetime
    job: Job
    folder: RunFolder
    cwd: Path
    spec: KernelSpec
    bound: Bound
    plan: Plan
    secrets: dict[str, str]
    masker: Masker
    scope: Scope
    environment: Environment | None = None
    """The kernel's environment, where it is known before the kernel is launched: a fork is of one environment."""


def prepare(job: Job, ports: Ports) -> Prepared:
    """Check everything that can be checked before a process is started."""
    spec = job.spec or find_kernel_spec(job.step.kernel_name)
    at = ports.now()
    run_id = RunId.new(at, ports.random(10))
    folder = RunFolder(ports.runs / str(run_id))
    cwd = job.step.folder
    if not cwd.is_dir():
        raise CallerError(f"the working directory {cwd} is not there", hint="Create it, or set another: --cwd.")
    if isinstance(job.output, Path) and not job.output.parent.is_dir():
        raise CallerError(f"the executed notebook cannot be written to {job.output}", found="its folder is not there")
    secrets = ports.secrets_of(job.step)
    masker = Masker(secrets, places_of(job.step.settings.secrets))
    scope = _scope(job, spec, ports)
    bound = bind_paths(job, output=folder.output, cwd=cwd, roots=scope.roots)
    if masker.mask_json(dict(bound.values)) != bound.values:
        raise CallerError(
            "a parameter holds the value of a secret",
            expected=f"secrets only in the environment ({', '.join(secrets)})",
            hint="Let the notebook read the variable with os.environ, and leave the parameter away.",
        )
    _refuse_secrets_in_words(job, masker)
    plan, _ = plan_of(job, bound.overrides)
    try:
        (folder.output if bound.collects else folder.path).mkdir(parents=True)
        if scope.keep_inputs and bound.listings:
            folder.listings.mkdir()
            for digest, listing in bound.listings.items():
                folder.listing(digest).write_bytes(listing)
    except OSError as error:
        raise EnvironmentFault(
            "the run's folder cannot be made",
            found=f"{error.strerror}: {folder.path}",
            hint="Grant the right to write there, or set `home` in [tool.nbprod].",
        ) from error
    return Prepared(
        run_id=run_id,
        at=at,
        job=job,
        folder=folder,
        cwd=cwd,
        spec=spec,
        bound=bound,
        plan=plan,
        secrets=secrets,
        masker=masker,
        scope=scope,
        environment=_environment(spec, ports) if ports.warmth.on else None,
    )


def _scope(job: Job, spec: KernelSpec, ports: Ports) -> Scope:
    """Return where it is looked at what the run touches."""
    settings, root = job.step.settings, ports.root
    roots = tuple(Path(os.path.normpath(root / Path(folder).expanduser())) for folder in settings.roots)
    for folder in roots:
        if not folder.exists():
            raise CallerError(
                f"the declared root {folder} of step {job.step.name} is not there",
                expected="a folder or a file, relative to the project's root",
                hint="Create it, or take it out of `roots` in pyproject.toml.",
            )
    why_off = "" if settings.trace in (None, True) else "`trace = false` is set"
    if not spec.is_ipykernel:
        why_off = f"the kernel {spec.name} is not IPython's"
    handed = tuple(Path(job.parameters.values[name]) for name in job.upstream)
    files = [root / Path(each.place).expanduser() for each in settings.secrets if each.source == FILE]
    return Scope(
        root=root,
        cwd=job.step.folder,
        roots=roots,
        handed=handed,
        why_off=why_off,
        keep_inputs=KEEP_INPUTS if settings.keep_inputs is None else settings.keep_inputs,
        private=(ports.folder, *([] if ports.keys is None else [ports.keys]), *ports.private, *files),
    )


def _refuse_secrets_in_words(job: Job, masker: Masker) -> None:
    """Refuse a secret in what goes into ledger and record as it is given."""
    paths = [str(path) for path in (job.output, *(job.paths or ())[1:]) if path is not None]
    places = [reference.place for reference in job.step.settings.secrets if not reference.plain]
    words = {"name": job.name, "note": job.note, "tags": list(job.tags), "output": paths, "secrets": places}
    found = [what for what, said in words.items() if masker.mask_json(said) != said]
    if found:
        raise CallerError(
            f"the run's {' and '.join(found)} would hold the value of a secret",
            expected="secrets only in the environment",
            hint="Choose other words: these stand in the ledger and in the record, for everybody to read.",
        )


def describe(prepared: Prepared, ports: Ports) -> Started:
    """Find out everything that is known of a run before its cells run, and keep what the record will point at."""
    job = prepared.job
    step, settings = job.step, job.step.settings
    environment = prepared.environment or _environment(prepared.spec, ports)
    key, facts = keep_environment(prepared.spec, prepared.masker, ports, environment)
    git, where = _origin(prepared, ports)
    request = RunRequest(
        step=step.name,
        notebook=where,
        source=step.source,
        kernel=prepared.spec.name,
        parameters=prepared.bound.values,
        given=tuple(name for name in prepared.bound.overrides if name != OUTPUT_DIR or not prepared.bound.collects),
        inputs=prepared.bound.inputs,
        environment=key,
        limits=settings.limits_json(),
        contract=settings.expect.to_json(),
        secrets=tuple(each.name for each in settings.secrets),
        secret_references={each.name: str(each) for each in settings.secrets if not each.plain},
        published=None if step.published is None else step.published.manifest,
    )
    known = job.parameters.values
    given = {name: known.get(name, value) for name, value in prepared.bound.overrides.items()}
    defaults = {p.name: p.default for p in step.schema.parameters if p.name in known and p.name not in given}
    return Started(
        run_id=prepared.run_id,
        request=request,
        source_file=Kept(digest=ports.store.put(step.data), size=len(step.data)),
        environment_facts=facts,
        git=git,
        locks=lock_files(ports.root),
        container=_container(environment.facts, prepared.masker),
        user=ports.user,
        host=ports.host,
        at=prepared.at,
        zone=ports.zone,
        defaults=plain_json(defaults),
        given=plain_json(prepared.bound.overrides),
        paths=job.paths or (where, None if job.output is None else shown_url(str(job.output))),
        report_mode=job.report_mode,
        notes=(
            *prepared.bound.notes,
            *readable_by_others(settings.secrets, ports.root),
            *of_one_value(prepared.secrets),
        ),
        scope=prepared.scope,
        keys=None if ports.keys is None else str(ports.keys),
    )


def _environment(spec: KernelSpec, ports: Ports) -> Environment:
    return ports.probe.environment_of(spec.python, spec.to_json(), ports.environ)


def keep_environment(
    spec: KernelSpec, masker: Masker, ports: Ports, environment: Environment | None = None
) -> tuple[Digest, Digest]:
    """Keep what is known of a kernel's environment; return the digests of its key and of its facts."""
    environment = environment or _environment(spec, ports)
    key = _without_secrets(environment.key, masker)
    return ports.store.put(_json_bytes(key.to_json())), ports.store.put(
        _json_bytes(masker.mask_json(environment.facts))
    )


def _container(facts: Mapping[str, Json], masker: Masker) -> Mapping[str, Json] | None:
    """Return what is known of the container: a variable names its image, and may hold anything."""
    told = facts.get("container")
    return {key: masker.mask_json(value) for key, value in told.items()} if isinstance(told, dict) else None


def _origin(prepared: Prepared, ports: Ports) -> tuple[Mapping[str, Json] | None, str]:
    """Return what git says of where the notebook comes from, and how the notebook is called."""
    step = prepared.job.step
    if step.published is not None:
        return step.published.git, step.published.label
    git = git_state(step.path.parent if step.path is not None else prepared.cwd, ports.environ)
    where = step.origin or "(standard input)" if step.path is None else display_path(step.path, ports.root)
    return None if git is None else _git_json(git), where


def _without_secrets(key: EnvironmentKey, masker: Masker) -> EnvironmentKey:
    """Mask what a kernel spec takes from variables: `{"env": {"DSN": "user:${PASSWORD}"}}`."""
    if not masker:
        return key
    kernel = dict(key.kernel)
    kernel["argv"] = [masker.mask_text(word) for word in kernel["argv"]]
    kernel["env"] = {name: masker.mask_text(value) for name, value in kernel["env"].items()}
    return replace(key, kernel=kernel)


def _json_bytes(value: object) -> bytes:
    return canonical(value)


def _git_json(git: GitState) -> dict[str, object]:
    return {name: getattr(git, name) for name in ("commit", "branch", "dirty", "remote")}
