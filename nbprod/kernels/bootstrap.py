"""The piece of Python that runs in a Python kernel before the user's code.

The driver sends it as an `execute_request` with `silent=True, store_history=False`: it leaves no names in the
user's namespace, no outputs, and uses no execution count. For kernels of other languages there is none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["SOURCES", "Observed", "bootstrap_source", "preparation"]

_FILES = ("_in_ipykernel.py", "_in_kernel.py")
_TRACER = ("_in_places.py", "_in_trace.py", "_in_lookups.py")
SOURCES = (*_FILES, *_TRACER)
"""The files of ours that run in a kernel before the user's code; a fork server compiles them once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """How the kernel observes what its notebook touches.

    Args:
        file: where it writes that.
        roots: folders in which all is told of: the project's and the declared ones.
        own: the run's own folder, of which nothing is told.
    """

    file: Path
    roots: Sequence[Path]
    own: Path


def bootstrap_source(observed: Observed | None = None) -> str:
    """Return one expression statement of standard-library Python that prepares the kernel.

    It has ipykernel keep every output until it is read, print quickly and not wait for the dead (`_in_ipykernel.py`),
    makes `sb.glue` take None, NaN, numpy values, datetimes, Series and more (`_in_kernel.py`), and writes down what the
    notebook touches (`_in_trace.py`). It never raises: where it can't do its work, stock behaviour stays as it is.

    Args:
        observed: how to write down what the notebook touches; None for not at all.
    """
    guarded = "".join(_guarded((name,)) for name in _FILES)
    if observed is not None:
        told = f"*{[os.fsencode(root) for root in observed.roots]!r}"
        guarded += _guarded(_TRACER, f"{os.fsencode(observed.file)!r}, {os.fsencode(observed.own)!r}, {told}")
    return f"exec({guarded!r}, {{}})\n"


def preparation(observed: Observed | None = None) -> dict[str, Any]:
    """Return what a forked kernel, which has the files, is to be told for the same effect as `bootstrap_source`."""
    groups: list[dict[str, Any]] = [{"files": [name], "arguments": []} for name in _FILES]
    if observed is not None:
        told = [str(observed.file), str(observed.own), *map(str, observed.roots)]
        groups.append({"files": [*_TRACER], "arguments": told})
    return {"groups": groups}


def _guarded(names: Sequence[str], arguments: str = "") -> str:
    sources = [files(__package__).joinpath(name).read_text("utf-8") for name in names]
    # A namespace of its own for each: nothing of ours may be found in, or overwritten from, the user's.
    space = f"{{'__name__': 'nbprod_in_kernel', 'ARGUMENTS': ({arguments})}}"
    return (
        f"try:\n    space = {space}\n    for source in {sources!r}:\n"
        "        exec(compile(source, '<nbprod>', 'exec'), space)\nexcept Exception:\n    pass\n"
    )
