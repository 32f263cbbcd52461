"""The injected cell: Python source that assigns the given values, safe by construction."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nbprod.errors import ParameterError, ParameterFault
from nbprod.parameters.bind import is_name
from nbprod.parameters.literal import literal
from nbprod.parameters.plain import show

__all__ = ["injected_source"]


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
    lines += [f"{name} = {code.expression}" for name, code in codes.items()]
    return "\n".join(lines) + "\n"
