"""Notebooks as Prefect tasks: the only package that imports Prefect, and only when a task is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbprod.flow.task import NotebookTask, notebook
    from nbprod.flow.watching import Notice, watch

__all__ = ["NotebookTask", "Notice", "notebook", "watch"]


def __getattr__(name: str) -> Any:
    """Import on demand: `nbprod.flow.server` starts a server while Prefect is still being imported elsewhere."""
    if name not in __all__:
        raise AttributeError(f"module 'nbprod.flow' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"nbprod.flow.{'watching' if name in ('Notice', 'watch') else 'task'}"), name)
