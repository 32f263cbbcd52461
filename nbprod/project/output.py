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
from urllib.parse import unquote, urlsplit

from nbprod.errors import CallerError, NotFound
from nbprod.project.home import Home
from nbprod.step.step import Step
from nbprod.store.elsewhere import read_url, refuse_unwritable, shown_url

__all__ = ["output_at", "output_path", "refuse_loss"]

_BUILT_IN = "pm"


def output_at(text: str | os.PathLike[str]) -> Path | str:
    """Return where an OUTPUT is: an absolute path, or an address (`s3://bucket/key`) as it was given."""
    text = os.fspath(text)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return text if "://" in text else Path(text).absolute()


def output_path(template: str, values: Mapping[str, Any], *, at: datetime, run_uuid: str) -> str:
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
    return "".join(parts)


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


def refuse_loss(output: Path | str, step: Step, home: Home) -> None:
    """Refuse an OUTPUT in whose place something lies, or will lie, that no run could bring back.

    An executed notebook and an empty file may be overwritten.

    Args:
        output: where the executed notebook is to be written: a path, or an address.
        step: what is to be run.
        home: the project's places.

    Raises:
        CallerError: it is the source, a place of nbprod's own, a folder or device, or another file with content.
        SettingsError: nothing can be written at such an address.
        StoreUnavailable: what lies at the address cannot be looked at.
    """
    if isinstance(output, str):
        _refuse_loss_elsewhere(output, step)
    else:
        _refuse_loss_here(output, step.path, home)


def _refuse_loss_elsewhere(url: str, step: Step) -> None:
    refuse_unwritable(url)
    if shown_url(url) == step.origin:
        raise _the_source(shown_url(url))
    try:
        data = read_url(url)
    except NotFound:
        return
    if data and not _was_executed(data):
        raise _is_there(shown_url(url), url.endswith(".ipynb"))


def _refuse_loss_here(path: Path, source: Path | None, home: Home) -> None:
    real = Path(os.path.realpath(path))  # `resolve` would fail on links in a circle
    if source is not None and (real == source.resolve() or (real.exists() and real.samefile(source))):
        raise _the_source(path)
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
    if status.st_size and not _was_executed(_read(real)):
        raise _is_there(path, real.suffix == ".ipynb")


def _the_source(output: object) -> CallerError:
    return CallerError(
        f"OUTPUT {output} is the notebook itself, which is never changed", hint="Write to another path, or give none."
    )


def _is_there(output: object, a_notebook: bool) -> CallerError:  # noqa: FBT001 - two words for what was found
    return CallerError(
        f"OUTPUT {output} is there already",
        expected="a new path, or that of an executed notebook",
        found="a notebook that is no run's output" if a_notebook else "another file",
        hint="Name another path; if nobody needs that file any more, remove it first.",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _was_executed(data: bytes) -> bool:
    """Return whether this is a notebook that papermill or nbprod wrote: both leave their metadata in it."""
    try:
        metadata = json.loads(data)["metadata"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(metadata, dict) and not metadata.keys().isdisjoint(("papermill", "nbprod"))
