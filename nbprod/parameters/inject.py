"""The injected cell: Python source that assigns the given values, safe by construction."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nbprod.errors import ParameterError, ParameterFault
from nbprod.parameters.bind import is_name
from nbprod.parameters.literal import Code, literal
from nbprod.parameters.plain import show

__all__ = ["injected_source"]

_WIDTH = 100


def injected_source(
    given: Mapping[str, object], *, comment: str = "Parameters", taken: Collection[str] = frozenset()
) -> str:
    """Return the source of the cell that assigns the given values.

    Every statement is `import <module> as _nbprod_<module>` or `<name> = <literal or known constructor>`; modules are
    imported under names that the notebook does not use.

    Args:
        given: names and plain values.
        comment: the text of the first line, `# Parameters` as papermill writes it.
        taken: further names that the notebook uses, so that `set = …` in it cannot break an injected `set()`.

    Raises:
        ParameterError: a name that is no identifier.
        CallerError: a value without a codec.
    """
    bad = tuple(ParameterFault(ascii(n), "a Python identifier", show(n)) for n in given if not is_name(n))
    if bad:
        raise ParameterError("these parameters cannot be injected", bad)
    names = {*given, *taken}
    prefix = "_nbprod_"
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    codes = {name: literal(value, prefix=prefix, taken=names) for name, value in given.items()}
    modules = sorted(set().union(*(code.imports for code in codes.values())))
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"import {module} as {prefix}{module}" for module in modules]
    for name, code in codes.items():
        line = f"{name} = {code.expression}"
        lines.append(line if len(line) <= _WIDTH else f"{name} = {_spread(given[name], code, prefix, names)}")
    return "\n".join(lines) + "\n"


def _spread(value: object, code: Code, prefix: str, names: set[str]) -> str:
    """Write one item per line, for the reader's sake."""
    if not value or not isinstance(value, list | dict):
        return code.expression
    items = [literal(item, prefix=prefix, taken=names).expression for item in value]
    if isinstance(value, dict):
        written = (literal(item, prefix=prefix, taken=names).expression for item in value.values())
        items = [f"{key}: {item}" for key, item in zip(items, written, strict=True)]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return "\n".join([opening, *(f"    {item}," for item in items), closing])
