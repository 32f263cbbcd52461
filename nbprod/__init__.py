"""nbprod: Jupyter notebooks in production."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbprod.api import Runs, compare, reproduce, run, runs, sweep
    from nbprod.project import Project, Run
    from nbprod.project.swept import Sweep

__all__ = ["Project", "Run", "Runs", "Sweep", "__version__", "compare", "reproduce", "run", "runs", "sweep"]

__version__ = "0.1.0"

_PLACES = {
    "Project": "project",
    "Run": "project",
    "Runs": "api",
    "Sweep": "project.swept",
    "compare": "api",
    "reproduce": "api",
    "run": "api",
    "runs": "api",
    "sweep": "api",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import nbprod` alone must cost next to nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module 'nbprod' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"nbprod.{_PLACES[name]}"), name)
