"""Which libraries a notebook imports: what a fork server may have in memory for it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

__all__ = ["COVERED", "imports_of", "preloads"]

COVERED = frozenset(
    {
        "joblib",
        "matplotlib",
        "numpy",
        "pandas",
        "pyarrow",
        "scipy",
        "scrapbook",
        "seaborn",
        "sklearn",
        "skops",
        "statsmodels",
    }
)
"""Packages of which tests show that a notebook puts out the same, byte for byte, where they were in memory before."""

_PLOTTING = (
    "matplotlib",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "matplotlib.gridspec",
    "matplotlib.image",
    "matplotlib.style",
    "matplotlib.widgets",
)

# What hooks itself into the shell, or looks at it, when it is imported, is left to the notebook; its parts are not.
_INSTEAD = {
    "matplotlib.pyplot": _PLOTTING,
    "pylab": ("numpy", *_PLOTTING),
    "seaborn": ("numpy", "pandas", "scipy.stats", *_PLOTTING),
}


def imports_of(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the modules that cells import, as they stand there, in order.

    `from a import b` gives `a` and `a.b`, which may be a module or not. What only IPython understands is left out.
    """
    found: dict[str, None] = {}
    for source in sources:
        for name in _imported(source):
            found.setdefault(name)
    return tuple(found)


def preloads(sources: Iterable[str], more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the modules that may be in memory before a notebook runs, in the order in which it imports them.

    Args:
        sources: the notebook's code cells.
        more: packages that the project's settings add to those that are covered.
    """
    known = COVERED | {name.partition(".")[0] for name in more}
    found: dict[str, None] = {}
    for name in imports_of(sources):
        if name.partition(".")[0] in known:
            stands = next((_INSTEAD[each] for each in _INSTEAD if name == each or name.startswith(f"{each}.")), (name,))
            for each in stands:
                found.setdefault(each)
    return tuple(found)


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")


def _parsed(source: str) -> ast.Module:
    if source.startswith("%%"):
        return ast.Module([], [])  # another language, or code that is timed or captured
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        lines = (line for line in source.splitlines() if not line.lstrip().startswith(("%", "!", "?")))
        try:
            return ast.parse("\n".join(lines))
        except (SyntaxError, ValueError):
            return ast.Module([], [])
