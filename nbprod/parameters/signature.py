"""A notebook's schema as a Python signature, so that a notebook can be called like a function."""

from __future__ import annotations

import copy
import inspect

from nbprod.parameters.schema import Schema

__all__ = ["signature"]


def signature(schema: Schema) -> inspect.Signature:
    """Return the signature: the cell's order, the declared types as annotations, the defaults.

    A parameter whose default only the notebook knows has an `Unevaluated` as its default, which `bind` takes as not
    given. Once a required parameter follows one with a default, the rest are keyword-only.
    """
    keyword_only = False
    parameters: list[inspect.Parameter] = []
    for parameter in schema:
        empty = inspect.Parameter.empty
        if parameter.required and any(earlier.default is not empty for earlier in parameters):
            keyword_only = True
        default = empty if parameter.required else copy.deepcopy(parameter.default)
        kind = inspect.Parameter.KEYWORD_ONLY if keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        annotation = empty if parameter.type is None else parameter.accepts.annotation()
        parameters.append(inspect.Parameter(parameter.name, kind, default=default, annotation=annotation))
    if schema.open:
        parameters.append(inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)
