"""Reads scraps from a notebook's outputs, strictly: what can't be read truly is refused, never guessed at.

The wire format is scrapbook 0.5.0's (`scrapbook/api.py`, `scrapbook/schemas/scrap.v1.json`). A data scrap is an output
whose `data` holds `application/scrapbook.scrap.<encoder>+json` with `{name, data, encoder, version: 1}`. A display
scrap is an output whose `metadata.scrapbook` says `{name, data: false, display: true}`. `sb.glue(..., display=True)`
emits one of each under the same name, in that order; scrapbook's reader then loses the data, this one doesn't.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from nbprod.digest import Json
from nbprod.errors import ScrapError
from nbprod.scraps.scrap import Encoder, Scrap
from nbprod.scraps.tags import storable, tag_of

__all__ = ["read_scraps"]

_MIME = re.compile(r"application/scrapbook\.scrap\.(?P<encoder>.+)\+json\Z")
_PREFIX = "application/scrapbook.scrap"
_MASKED = re.compile("«secret:([^»]+)»")
"""What stands in a secret's place (`nbprod.masking`)."""
_VERSION = 1
_PARQUET = b"PAR1"


_GLUE_APART = "A record keeps one value per name: give each sb.glue its own name, and glue with scrapbook 0.5"
_GLUE_LESS = "Leave the column with the secret out of what is glued."


class _Fault(Exception):
    """One thing that is wrong with one output."""


class _Masked(_Fault):
    """A secret that was masked in it."""


@dataclass(frozen=True, slots=True)
class _Glued:
    """What one output says: the data or the display of a scrap."""

    name: str
    cell: int
    encoder: Encoder
    data: Json = None
    display: Mapping[str, Json] | None = None


def read_scraps(cells: Iterable[tuple[int, Sequence[Mapping[str, Any]]]]) -> tuple[Scrap, ...]:
    """Return the scraps of a notebook in the order they were glued.

    Args:
        cells: index in the source notebook and outputs (nbformat 4) of each code cell.

    Raises:
        ScrapError: broken payloads, unknown encoders or versions, names glued twice; all of them in one error.
    """
    scraps: dict[str, Scrap] = {}
    faults: list[str] = []
    only_masked = True
    for cell, outputs in cells:
        for output in outputs:
            try:
                for glued in _glued(cell, output):
                    scraps[glued.name] = _join(scraps.get(glued.name), glued)
            except _Fault as fault:
                faults.append(f"cell {cell}: {fault}")
                only_masked = only_masked and isinstance(fault, _Masked)
    if faults:
        raise ScrapError(
            "what this notebook glued cannot be read as scraps: " + "; ".join(faults),
            hint=_GLUE_LESS if only_masked else _GLUE_APART,
        )
    return tuple(scraps.values())


def _glued(cell: int, output: Mapping[str, Any]) -> Iterator[_Glued]:
    bundle = output.get("data")
    if not isinstance(bundle, Mapping):
        return
    metadata = output.get("metadata")
    marks = metadata.get("scrapbook") if isinstance(metadata, Mapping) else None
    marks = marks if isinstance(marks, Mapping) else {}
    for mime, payload in bundle.items():
        if mime.startswith(_PREFIX):
            yield _data(cell, mime, payload, marks.get("name"))
    if marks.get("display"):
        yield _display(cell, marks.get("name"), bundle)


def _data(cell: int, mime: str, payload: Any, marked: Any) -> _Glued:
    match = _MIME.match(mime)
    if match is None:
        raise _Fault(f"{mime!r} names no encoder")
    if not isinstance(payload, Mapping):
        raise _Fault(f"the payload of {mime!r} is no JSON object: {str(payload)[:100]}")
    name = _name(payload.get("name"))
    if marked is not None and marked != name:
        raise _Fault(f"scrap {name!r} is called {marked!r} in its output's metadata")
    version = payload.get("version")
    if isinstance(version, bool) or version != _VERSION:
        raise _Fault(f"scrap {name!r} has payload version {version!r}, where {_VERSION} is known")
    encoder = match["encoder"]
    if payload.get("encoder") != encoder:
        raise _Fault(f"scrap {name!r} says encoder {payload.get('encoder')!r} in a payload of type {encoder!r}")
    if encoder not in get_args(Encoder):
        raise _Fault(
            f"scrap {name!r} was written by the unknown encoder {encoder!r} (known: json, text, pandas, display)"
        )
    return _Glued(name, cell, cast("Encoder", encoder), data=_checked(name, encoder, payload.get("data")))


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise _Fault(f"a scrap's name is {name!r}, not text")
    return name


def _checked(name: str, encoder: str, data: Any) -> Json:
    if data is None:
        raise _Fault(f"scrap {name!r} has no data")
    if encoder == "display":
        raise _Fault(f"scrap {name!r} has data of the encoder 'display', which only ever marks an output")
    if encoder in ("text", "pandas") and not isinstance(data, str):
        raise _Fault(f"scrap {name!r} of the encoder {encoder!r} holds {type(data).__name__}, not text")
    if encoder == "pandas":
        _check_parquet(name, data)
    try:
        data = storable(data)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"scrap {name!r} holds no storable JSON: {error}") from error
    # The wire's schema knows no null at the top, so the kernel tags it; the record does know null.
    return None if encoder == "json" and tag_of(data) == "none" else data


def _check_parquet(name: str, text: str) -> None:
    if masked := _MASKED.search(text):
        raise _Masked(
            f"the DataFrame of scrap {name!r} held the secret {masked[1]}; that was masked, and the rest cannot be read"
        )
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Fault(f"scrap {name!r} is no base64 text: {error}") from error
    if not (data.startswith(_PARQUET) and data.endswith(_PARQUET)):
        raise _Fault(f"scrap {name!r} is no parquet file")


def _display(cell: int, name: Any, bundle: Mapping[str, Any]) -> _Glued:
    name = _name(name)
    try:
        # In a notebook file a text may stand as the list of its lines (nbformat 4, multiline_string).
        shown = {mime: "".join(body) if _is_lines(mime, body) else body for mime, body in bundle.items()}
        return _Glued(name, cell, "display", display=storable(shown, exact=False))
    except (ValueError, RecursionError) as error:
        raise _Fault(f"the display of scrap {name!r} holds no storable JSON: {error}") from error


def _is_lines(mime: str, body: Any) -> bool:
    structured = mime == "application/json" or mime.endswith("+json")
    return not structured and isinstance(body, list) and all(isinstance(line, str) for line in body)


def _join(before: Scrap | None, glued: _Glued) -> Scrap:
    if before is None:
        return Scrap(name=glued.name, encoder=glued.encoder, cell=glued.cell, data=glued.data, display=glued.display)
    shown_after = before.display is None and glued.encoder == "display" and before.cell == glued.cell
    if not shown_after:
        where = (
            f"twice in cell {glued.cell}" if before.cell == glued.cell else f"in cells {before.cell} and {glued.cell}"
        )
        raise _Fault(f"scrap {glued.name!r} is glued {where}")
    return replace(before, display=glued.display)
