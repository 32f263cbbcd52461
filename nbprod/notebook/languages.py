"""Schemas of notebooks in other languages than Python, as far as a translator can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nbprod.notebook.notebook import Notebook
from nbprod.parameters.parameter import Parameter, Unevaluated
from nbprod.parameters.schema import Schema

__all__ = ["Found", "schema_for"]

Found = tuple[str, str, str, str]
"""Name, inferred type, default and help, all as text: papermill's `models.Parameter` is one."""


def schema_for(notebook: Notebook, translate: Callable[[str], Iterable[Found]]) -> Schema:
    """Return the notebook's schema.

    Args:
        notebook: in any language; a Python one is read by nbprod itself.
        translate: gives what it finds in the source of the parameters cell, nothing or `NotImplementedError` where it
            cannot tell (papermill's translators for all languages but Python): then any name is taken, unchecked.
    """
    index = notebook.parameters_cell
    if index is None or notebook.language == "python":
        return notebook.schema
    try:
        found = tuple(translate(notebook.cells[index].source))
    except NotImplementedError:
        found = ()
    parameters = tuple(Parameter(name, None, Unevaluated(default), text) for name, _, default, text in found)
    return Schema(parameters, open=not parameters)
