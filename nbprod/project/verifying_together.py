"""Verifying a log's runs by several processes: most of it is Python, of which a process does one thing at a time."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nbprod.record.ids import RunId
from nbprod.verify import Evidence, Verification
from nbprod.verify.objects import Objects
from nbprod.verify.whole import Pages

if TYPE_CHECKING:
    from nbprod.project.verifying import Asked, Verifier

__all__ = ["share"]

_LEAST = 4000
"""Runs from which on it pays to start processes, which takes half a second."""
_MOST = 8
"""Processes: of more, one disk and one database have little."""


@dataclass(frozen=True, slots=True)
class _Worker:
    how: Pages
    evidence: Evidence
    objects: Objects | None


_worker: list[_Worker] = []
"""Of a process that was started here: what it verifies with."""


def share(verifier: Verifier, how: Pages, pages: Sequence[Sequence[RunId]]) -> Iterator[list[Verification]] | None:
    """Have pages of runs verified, in their order; None where that is no gain.

    Args:
        verifier: whose runs.
        how: what was found out about the log.
        pages: the runs.
    """
    processes = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _MOST)
    if processes < 2 or sum(map(len, pages)) < _LEAST:  # noqa: PLR2004 - one is this one
        return None
    return _shared(verifier, how, pages, processes)


def _shared(
    verifier: Verifier, how: Pages, pages: Sequence[Sequence[RunId]], processes: int
) -> Iterator[list[Verification]]:
    # Spawned, not forked: there may be threads here, and connections.
    context = multiprocessing.get_context("spawn")
    given = (verifier.root, dict(verifier.environ), verifier.asked, how)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=given) as pool:
        yield from pool.map(_verify, pages)


def _begin(root: Path, environ: Mapping[str, str], asked: Asked, how: Pages) -> None:
    from nbprod.project.project import Project  # noqa: PLC0415 - it imports this module
    from nbprod.project.verifying import Verifier  # noqa: PLC0415

    evidence = Verifier(Project.find(root, environ), asked).evidence
    _worker.append(_Worker(how, evidence, evidence.objects))


def _verify(page: Sequence[RunId]) -> list[Verification]:
    (worker,) = _worker
    return worker.how.verify(page, worker.evidence, worker.objects)
