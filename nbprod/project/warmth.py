"""Starting fork servers that outlive a command, for the environments that notebooks run in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nbprod.environment.probe import EnvironmentProbe
from nbprod.errors import CallerError
from nbprod.execution import standing
from nbprod.execution.fork_servers import NotForked, command_of, fingerprint, forked_argv
from nbprod.execution.head_start import starting
from nbprod.kernels.imports import preloads
from nbprod.kernels.spec import KernelSpec, find_kernel_spec
from nbprod.project.project import Project
from nbprod.step.secret import hidden_names
from nbprod.step.step import Step

__all__ = ["Warmed", "start_standing"]

_DEFAULT = "python3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """An environment whose kernels are forked from now on.

    Args:
        kernel: the kernel spec's name.
        started: whether its server was not up before.
        loaded: what is in memory for which step.
    """

    kernel: str
    started: bool
    loaded: Mapping[str, tuple[str, ...]]


def start_standing(project: Project, names: Sequence[str], kernel: str | None) -> Iterator[Warmed]:
    """Start a server for each environment that steps run in, and have it import what they import.

    Args:
        project: whose settings say what else may be preloaded.
        names: notebooks or steps; none for a bare server.
        kernel: the kernel spec where no step is named.

    Raises:
        NotFound: there is no such notebook, step or kernel spec.
        CallerError: kernels of this spec cannot be forked.
        KernelUnavailable: the server does not come up.
    """
    steps = [project.step(name) for name in names]
    groups: dict[tuple[str, tuple[str, ...]], list[Step]] = {}
    for step in steps:
        names = hidden_names(step.settings.secrets)
        groups.setdefault((step.kernel_name, names), []).append(step)
    if not steps:
        groups[kernel or _DEFAULT, ()] = []
    for (name, secrets), members in groups.items():
        spec = find_kernel_spec(name)
        key, new = _start(project, spec, secrets)
        loaded = {step.name: preloads(_sources(step), project.settings.kernels.preload) for step in members}
        for modules in loaded.values():
            if modules:
                standing.ask_for(key, project.environ, modules)
        yield Warmed(kernel=name, started=new, loaded=loaded)


def _start(project: Project, spec: KernelSpec, secrets: Sequence[str]) -> tuple[str, bool]:
    try:
        forked_argv(spec)
    except NotForked as error:
        raise CallerError(f"kernels of {spec.name} cannot be forked", found=str(error)) from error
    probe = EnvironmentProbe(project.home.folder / "cache")
    environment = probe.environment_of(spec.python, spec.to_json(), project.environ).key.digest
    base = spec.environment(project.environ, {})
    key = fingerprint(spec, environment, base, secrets)
    if (sock := standing.connect(key, project.environ)) is not None:
        sock.close()
        return key, False
    standing.start(
        key, command_of(spec, "{control}", project.settings.kernels.idle), project.environ, starting(base, secrets)
    )
    return key, True


def _sources(step: Step) -> list[str]:
    return [cell.source for cell in step.notebook.cells if cell.kind == "code"]
