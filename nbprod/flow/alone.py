"""A notebook as a flow of its own, whose form in Prefect's UI is the notebook's schema."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from prefect import Flow
from pydantic import WithJsonSchema

from nbprod.flow.arguments import EXTRA, RESERVED
from nbprod.parameters import Schema, json_schema

if TYPE_CHECKING:
    from nbprod.flow.task import NotebookTask

__all__ = ["flow_of", "form_signature"]

_DESCRIBED = ("title", "default")
"""Prefect writes these into a form itself, from a parameter's name and default."""


def flow_of(task: NotebookTask, options: Mapping[str, Any]) -> Flow[..., Any]:
    """Return a flow that runs one notebook task with the parameters it is given.

    Args:
        task: the task.
        options: of `prefect.Flow`; the name is the task's by default.
    """
    schema = task.fn.ordered.step().schema
    signature = form_signature(schema)

    def run_notebook(**values: Any) -> Any:
        return task(return_state=True, **_chosen(signature, values))

    run: Any = run_notebook
    run.__signature__ = signature
    run.__name__ = task.name
    run.__doc__ = task.description
    # What comes from a form is text and numbers: the notebook's schema reads them, not Prefect's coercion.
    return Flow(run, **{"name": task.name, **options, "validate_parameters": False})


def form_signature(schema: Schema) -> inspect.Signature:
    """Return a signature whose annotations and defaults are those of the notebook's JSON Schema.

    A default that JSON cannot hold stands as None, with the reason in the description; None is then not given.
    """
    document: Any = json_schema(schema, title="Parameters")
    listed: list[inspect.Parameter] = []
    for name, found in document["properties"].items():
        if name in RESERVED:
            continue
        default = inspect.Parameter.empty if name in document.get("required", ()) else found.get("default")
        listed.append(_entry(name, _shown(found), default))
    if schema.open or any(name in RESERVED for name in document["properties"]):
        about = "What has no field of its own: names and values."
        listed.append(_entry(EXTRA, {"type": "object", "description": about}, {}))
    return inspect.Signature(listed)


def _shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a property as a form shows it."""
    shown = {key: value for key, value in found.items() if key not in _DESCRIBED}
    comment = shown.pop("$comment", None)
    if comment is not None:
        shown["description"] = "\n".join(text for text in (shown.get("description"), comment) if text)
    return shown


def _entry(name: str, shown: Mapping[str, Any], default: Any) -> inspect.Parameter:
    annotation = Annotated[Any, WithJsonSchema(dict(shown))]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _chosen(signature: inspect.Signature, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from what the form started with: Prefect hands over defaults as if given."""
    defaults = {name: entry.default for name, entry in signature.parameters.items()}
    return {name: value for name, value in values.items() if not _same(value, defaults[name])}


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)
