"""A notebook's schema as JSON Schema (draft 2020-12), for forms, editors and other languages."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from nbprod.digest import Json
from nbprod.parameters.codec import SAFE_INT, is_text
from nbprod.parameters.duration import format_duration
from nbprod.parameters.parameter import Parameter, Unevaluated
from nbprod.parameters.schema import Schema

__all__ = ["json_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(schema: Schema, *, title: str, description: str = "") -> Json:
    """Return the JSON Schema of the parameters as one object.

    Defaults are included where JSON can hold them in a form that `bind` reads; a default that only the notebook knows
    stands in `$comment`.
    """
    required = [parameter.name for parameter in schema if parameter.required]
    return {
        "$schema": DIALECT,
        "title": title,
        **({"description": description} if description else {}),
        "type": "object",
        "properties": {parameter.name: _property(parameter) for parameter in schema},
        **({"required": required} if required else {}),
        "additionalProperties": schema.open,
    }


def _property(parameter: Parameter) -> dict[str, Json]:
    result = parameter.accepts.json_schema()
    if parameter.help:
        result["description"] = parameter.help
    if isinstance(parameter.default, Unevaluated):
        result["$comment"] = f"default: {parameter.default.source}"
    elif parameter.known_default:
        with suppress(ValueError):  # JSON has no such value: the parameter stays optional without showing it
            result["default"] = _json(parameter.default)
    return result


def _json(value: Any) -> Json:  # noqa: PLR0911 - a table of kinds
    """Return the form of a value that `TypeSpec.convert` reads back; ValueError where JSON has none."""
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_json(item) for item in value), key=repr)
    if isinstance(value, dict):
        return {_key(key): _json(item) for key, item in value.items()}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Decimal | UUID):
        return str(value)
    return _plain_json(os.fspath(value) if isinstance(value, Path) else value)


def _plain_json(value: Any) -> Json:
    fits = value is None or isinstance(value, bool)
    fits = fits or (isinstance(value, str) and is_text(value))
    fits = fits or (isinstance(value, int) and abs(value) <= SAFE_INT)
    fits = fits or (isinstance(value, float) and math.isfinite(value))
    if not fits:
        raise ValueError(f"JSON has no {type(value).__name__} like this")
    return value


def _key(key: object) -> str:
    text = _json(key)
    if not isinstance(text, str):
        raise ValueError("JSON's keys are texts")  # noqa: TRY004 - the caller catches one kind
    return text
