"""OUTPUT as papermill has it: a template with parameters by name."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbprod.errors import CallerError

__all__ = ["output_path"]

_BUILT_IN = "pm"


def output_path(template: str, values: Mapping[str, Any], *, at: datetime, run_uuid: str) -> Path:
    """Fill in an OUTPUT template (papermill 2.7, `papermill/parameterize.py`).

    `{name}` becomes a parameter's value, `{name:spec}` a formatted one, `{pm[current_datetime_utc]}`,
    `{pm[current_datetime_local]}` and `{pm[run_uuid]}` what papermill puts there; `{{` and `}}` are braces. Attributes
    and items of values are refused: they reach into objects.

    Args:
        template: the text.
        values: the parameters, given and default.
        at: the moment for `pm`; aware.
        run_uuid: the id for `pm`.

    Raises:
        CallerError: an unknown name, a broken template, or a value that would leave the folder that the text names.
    """
    built_in = {
        "current_datetime_local": at.astimezone().replace(tzinfo=None),
        "current_datetime_utc": at.astimezone(UTC).replace(tzinfo=None),
        "run_uuid": run_uuid,
    }
    known = {**values, **{f"{_BUILT_IN}[{name}]": value for name, value in built_in.items()}}
    parts: list[str] = []
    try:
        for text, name, spec, conversion in string.Formatter().parse(template):
            parts.append(text)
            if name is not None:
                parts.append(_filled(template, name, known, spec or "", conversion))
    except ValueError as error:
        raise CallerError(
            f"OUTPUT {template!r} is not a template", found=str(error), hint="Write {{ and }} for braces."
        ) from error
    return Path("".join(parts))


def _filled(template: str, name: str, known: Mapping[str, Any], spec: str, conversion: str | None) -> str:
    if name not in known:
        names = ", ".join(known)
        raise CallerError(
            f"OUTPUT {template!r} names {name or 'no name'!r}, which is no parameter",
            expected=f"one of: {names}",
            hint="Write {{ and }} for braces that belong to the path.",
        )
    value = known[name]
    if conversion == "r":
        value = repr(value)
    elif conversion is not None:
        value = ascii(value) if conversion == "a" else str(value)
    text = format(value, spec)
    if "/" in text or "\\" in text or "\0" in text or text in ("", ".", ".."):
        raise CallerError(
            f"parameter {name} cannot stand in OUTPUT",
            expected="a value that is one part of a path",
            found=repr(text),
            hint="Write the folders into OUTPUT itself.",
        )
    return text
