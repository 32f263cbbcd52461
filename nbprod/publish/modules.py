"""The local modules that a notebook imports: found by reading, never by running."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from nbprod.notebook import Notebook
from nbprod.parameters.magics import without_magics

__all__ = ["local_modules"]


def local_modules(notebook: Notebook, folder: Path, root: Path) -> tuple[Path, ...]:
    """Return the files below the project's root that a notebook's `import` statements lead to, and theirs; sorted.

    A module is looked for where the kernel would: in its working directory, then in the project's root. What is
    imported by a computed name is not found.

    Args:
        notebook: a Python notebook.
        folder: the kernel's working directory.
        root: the project's root.
    """
    found: set[Path] = set()
    places = tuple(dict.fromkeys((folder, root)))
    left = [
        (name, places)
        for cell in notebook.cells
        if cell.kind == "code"
        for name in _imported(without_magics(cell.source).text, package=None)
    ]
    while left:
        name, where = left.pop()
        for path in _files(name, where):
            if path in found or not path.is_relative_to(root):
                continue
            found.add(path)
            package = _package(path, where)
            left += [(each, where) for each in _imported(_text(path), package=package)]
    return tuple(sorted(found))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _imported(source: str, *, package: str | None) -> Iterator[str]:
    """Yield the dotted names that a source imports; of `from a import b` both `a` and `a.b`, which may be a module."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if base is not None:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _absolute(node: ast.ImportFrom, package: str | None) -> str | None:
    if not node.level:
        return node.module
    if package is None:
        return None
    parts = package.split(".")
    kept = parts[: len(parts) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])]) or None


def _files(name: str, places: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the files that importing a dotted name reads: those of its packages, then its own."""
    parts = name.split(".")
    for place in places:
        if not (place / parts[0]).is_dir() and not (place / f"{parts[0]}.py").is_file():
            continue
        folder = place
        for part in parts:
            package, module = folder / part / "__init__.py", folder / f"{part}.py"
            if package.is_file():
                yield package
            elif module.is_file():
                yield module
                break
            folder /= part
        return


def _package(path: Path, places: tuple[Path, ...]) -> str:
    """Return the package that a file's relative imports start from."""
    place = next(place for place in places if path.is_relative_to(place))
    return ".".join(path.relative_to(place).parent.parts)
