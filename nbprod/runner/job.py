"""A job: one run as it is ordered, before it has an id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nbprod.digest import Digest, Json
from nbprod.kernels.spec import KernelSpec
from nbprod.parameters import Parameters
from nbprod.record.ids import RunId
from nbprod.record.launch import LEAN
from nbprod.step.reuse import NO_REUSE, Reuse
from nbprod.step.step import Step

__all__ = ["Job", "Upstream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An artifact of another run that is handed to a parameter.

    Args:
        run: the run that wrote it.
        name: the artifact's name there.
        digest: of its bytes.
        size: bytes.
    """

    run: RunId
    name: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run.

    Args:
        step: the step.
        parameters: bound to its schema; a parameter that is handed an artifact holds the path where it will lie.
        upstream: by parameter, the artifacts that are handed over.
        name: a name for people.
        tags: for people, to find it by.
        note: a note for people.
        output: where to write the executed notebook as well: a path, or an address; None for nowhere else.
        report_mode: hide the code in the executed notebook.
        paths: input and output path for papermill's metadata, where papermill itself has chosen them.
        reuse: whether an earlier run may answer.
        occasion: what the run is for: of two calls for the same occasion and with the same request, the second finds
            the first one's run.
        retry_of: the run that this one tries again.
        flow_run: the flow run that it belongs to.
        reproduces: the run that this one executes again, to be compared with it.
        caller: what its caller needs to find its way back from the run (see `RunStarted.caller`).
        driver: who executes its cells: `lean` or `nbclient`.
        spec: the kernel spec to launch, of the name that the step asks for; None: the one that is installed.
    """

    step: Step
    parameters: Parameters
    upstream: Mapping[str, Upstream] = field(default_factory=dict)
    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    output: Path | str | None = None
    report_mode: bool = False
    paths: tuple[str | None, str | None] | None = None
    reuse: Reuse = NO_REUSE
    occasion: str | None = None
    retry_of: RunId | None = None
    flow_run: str | None = None
    reproduces: RunId | None = None
    caller: Mapping[str, Json] = field(default_factory=dict)
    driver: str = LEAN
    spec: KernelSpec | None = None
