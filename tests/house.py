"""The modules of nbprod, as files and by name."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nbprod"

FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# Alembic runs the migrations' files itself, inside a migration; `__main__` runs the command line when imported.
MODULES = [module_name(path) for path in FILES if "migrations" not in path.parts and path.name != "__main__.py"]


def long_functions(source: str, limit: int) -> list[str]:
    """Return `name (lines)` of each function that is longer than the limit."""
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    sizes = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [f"{name} ({size} lines)" for name, size in sizes if size > limit]
