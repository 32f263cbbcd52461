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

_WATCHED = frozenset(
    {
        *("environ", "putenv", "setenv", "unsetenv", "load_dotenv", "chdir", "setlocale", "tzset"),
        *("basicConfig", "dictConfig", "fileConfig", "getLogger", "disable"),
        *("simplefilter", "filterwarnings", "catch_warnings", "resetwarnings"),
        *("system", "Popen", "exec", "eval", "run_line_magic", "run_cell_magic", "__import__"),
    }
)
"""Names of what may change how a later import comes out; what is called so by chance costs a little speed."""
_HARMLESS = ("%matplotlib", "%config InlineBackend")

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
    """Return the modules that cells import before they do anything that an import may depend on, in order.

    `from a import b` gives `a` and `a.b`, which may be a module or not. What follows a change of variables, paths,
    logging or warnings, an IPython command, or a cell that cannot be read, is left out: there an import may come to
    something else.
    """
    found: dict[str, None] = {}
    for source in sources:
        for name in _imported(source):
            if name is None:
                return tuple(found)
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


def _imported(source: str) -> Iterator[str | None]:
    """Yield what a cell imports; None where it does what an import may depend on."""
    tree = _parsed(source)
    if tree is None:
        yield None
        return
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")
            elif isinstance(node, ast.Attribute | ast.Name) and _matters(node):
                yield None


def _matters(node: ast.Attribute | ast.Name) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _WATCHED
    of_sys = isinstance(node.value, ast.Name) and node.value.id == "sys"
    return node.attr in _WATCHED or (of_sys and node.attr in ("path", "modules", "meta_path", "path_hooks"))


def _parsed(source: str) -> ast.Module | None:
    """Return a cell's code; None where there is more to it than Python."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(_HARMLESS)]
    try:
        return ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        return None
