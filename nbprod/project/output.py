"""OUTPUT as papermill has it, a template with parameters by name; but only an executed notebook is overwritten."""

from __future__ import annotations

import json
import os
import stat
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbprod.errors import CallerError
from nbprod.project.home import Home

__all__ = ["output_path", "refuse_loss"]

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


def refuse_loss(path: Path, source: Path | None, home: Home) -> None:
    """Refuse an OUTPUT in whose place something lies, or will lie, that no run could bring back.

    An executed notebook and an empty file may be overwritten.

    Args:
        path: where the executed notebook is to be written.
        source: the notebook that is to be run; None where it has no file.
        home: the project's places.

    Raises:
        CallerError: it is the source, a place of nbprod's own, a folder or device, or another file with content.
    """
    real = Path(os.path.realpath(path))  # `resolve` would fail on links in a circle
    if source is not None and (real == source.resolve() or (real.exists() and real.samefile(source))):
        raise CallerError(
            f"OUTPUT {path} is the notebook itself, which is never changed", hint="Write to another path, or give none."
        )
    if any(real == place or real.is_relative_to(place) for place in home.places()):
        raise CallerError(
            f"OUTPUT {path} lies where nbprod keeps its runs ({home.folder})",
            expected="a path outside of it",
            hint="Name another path: the store keeps the executed notebook in any case.",
        )
    try:
        status = real.stat()
    except OSError:
        return  # nothing is there; a folder that is missing, or closed to us, is found out when the run is prepared
    if stat.S_ISDIR(status.st_mode):
        raise CallerError(f"OUTPUT {path} is a folder", expected="the path of a notebook to write")
    if not stat.S_ISREG(status.st_mode):
        raise CallerError(f"OUTPUT {path} is a device, pipe or socket", expected="the path of a notebook to write")
    if status.st_size and not _was_executed(real):
        raise CallerError(
            f"OUTPUT {path} is there already",
            expected="a new path, or that of an executed notebook",
            found="a notebook that is no run's output" if real.suffix == ".ipynb" else "another file",
            hint="Name another path; if nobody needs that file any more, remove it first.",
        )


def _was_executed(path: Path) -> bool:
    """Return whether a file is a notebook that papermill or nbprod wrote: both leave their metadata in it."""
    try:
        metadata = json.loads(path.read_bytes())["metadata"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(metadata, dict) and not metadata.keys().isdisjoint(("papermill", "nbprod"))
