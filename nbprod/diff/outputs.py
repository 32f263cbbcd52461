"""What two cells put out, compared: equal, equal after which rules, or what differs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, zip_longest
from typing import Any

from nbprod.diff.lines import changed_lines
from nbprod.diff.outcome import Outcome
from nbprod.diff.pictures import pixels_apart
from nbprod.diff.pieces import SCRAP, Piece, pieces_of
from nbprod.diff.rules import RULES, normalised, rules_needed
from nbprod.diff.scraps import TOLERANCE, compare_data
from nbprod.diff.side import Own
from nbprod.diff.tolerance import Tolerance
from nbprod.scraps.tags import storable

__all__ = ["OutputChange", "compare_outputs"]

_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
_REPEATS = ("text/plain", "text/html")
"""Forms of one output of which the first that differs tells enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChange:
    """One output of a cell that differs.

    Args:
        what: `stdout`, `stderr`, `error`, or the MIME type of what was displayed.
        told: what differs, in words; empty where the lines tell it.
        lines: the lines that differ after normalising, with `-`, `+` or two spaces before them.
        pictures: both pictures as `data:` addresses, None for one that is not there; for those who can show them.
    """

    what: str
    told: str = ""
    lines: tuple[str, ...] = ()
    pictures: tuple[str | None, str | None] | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, without pictures: those stand in the executed notebooks."""
        return {"what": self.what, "told": self.told, "lines": list(self.lines)}


Outputs = Sequence[Mapping[str, Any]]


def compare_outputs(
    before: tuple[Outputs, Own], after: tuple[Outputs, Own], tolerance: Tolerance
) -> tuple[Outcome, tuple[str, ...], tuple[OutputChange, ...]]:
    """Compare the outputs (nbformat 4) of two cells.

    Args:
        before: outputs of the earlier cell, and what its run may tell of itself.
        after: the same of the later one.
        tolerance: for scraps that were glued there.

    Returns:
        The outcome, the names of the rules without which they would not be equal, and what differs.
    """
    pieces = pieces_of(before[0]), pieces_of(after[0])
    if pieces[0] == pieces[1]:
        return Outcome.EQUAL, (), ()
    tolerated = _with_tolerance(*pieces, tolerance)
    names = (TOLERANCE,) if tolerated != pieces[1] else ()
    pieces = pieces[0], tolerated
    if pieces[0] == pieces[1]:
        return Outcome.NORMALISED, names, ()
    rules = rules_needed((pieces[0], before[1]), (pieces[1], after[1]))
    if rules is not None:
        return Outcome.NORMALISED, (*names, *rules), ()
    plain = normalised(pieces[0], before[1]), normalised(pieces[1], after[1])
    return Outcome.DIFFERENT, names, tuple(_changes(pieces, plain))


def _with_tolerance(before: tuple[Piece, ...], after: tuple[Piece, ...], tolerance: Tolerance) -> tuple[Piece, ...]:
    """Return the later pieces, scraps that are within their tolerance replaced by the earlier ones."""
    glued = {_glued(piece)[0]: piece.body for piece in before if piece.mime.startswith(SCRAP)}
    return tuple(
        replace(piece, body=glued[name])
        if piece.mime.startswith(SCRAP) and (name := _glued(piece)[0]) in glued and _near(glued[name], piece, tolerance)
        else piece
        for piece in after
    )


def _glued(piece: Piece) -> tuple[str, Any]:
    told = json.loads(piece.body)
    return (str(told.get("name")), told.get("data")) if isinstance(told, dict) else ("", None)


def _near(body: str, piece: Piece, tolerance: Tolerance) -> bool:
    name, data = _glued(piece)
    try:
        values = storable(json.loads(body).get("data")), storable(data)
    except (ValueError, RecursionError):
        return False
    return not compare_data(name, *values, tolerance)


def _changes(
    raw: tuple[tuple[Piece, ...], tuple[Piece, ...]], plain: tuple[tuple[Piece, ...], tuple[Piece, ...]]
) -> Iterator[OutputChange]:
    """Yield what differs, output by output; of several forms of one output the first that differs, and pictures."""
    sources = _pictures_of(raw[0]), _pictures_of(raw[1])
    glued: list[str] = []
    for first, second in zip_longest(_by_output(plain[0]), _by_output(plain[1]), fillvalue=()):
        forms = {_key(piece): piece for piece in first}, {_key(piece): piece for piece in second}
        told = False
        for key in sorted({*forms[0], *forms[1]}, key=_rank):
            pair = forms[0].get(key), forms[1].get(key)
            if (pair[0] and pair[0].body) == (pair[1] and pair[1].body) or (told and key[1] in _REPEATS):
                continue
            told = True
            if key[1].startswith(SCRAP):
                glued += (_glued(piece)[0] for piece in pair if piece is not None)
            else:
                yield _change(pair, sources)
    if glued:
        names = ", ".join(dict.fromkeys(glued))
        yield OutputChange(what="scraps", told=f"{names} (see the scraps)")


def _by_output(pieces: tuple[Piece, ...]) -> list[tuple[Piece, ...]]:
    return [tuple(each) for _, each in groupby(pieces, key=lambda piece: piece.output)]


def _key(piece: Piece) -> tuple[str, str]:
    return piece.kind, piece.mime


def _rank(key: tuple[str, str]) -> tuple[int, tuple[str, str]]:
    order = (*_PICTURES, "text/plain", "text/html")
    return (order.index(key[1]) if key[1] in order else len(order), key)


def _change(pair: tuple[Piece | None, Piece | None], sources: tuple[_Pictures, _Pictures]) -> OutputChange:
    piece = pair[0] or pair[1]
    assert piece is not None  # noqa: S101 - one of them is there
    what = piece.what
    bodies = "" if pair[0] is None else pair[0].body, "" if pair[1] is None else pair[1].body
    if what in _PICTURES:
        raw = [source.get((each.output, what)) if each else None for source, each in zip(sources, pair, strict=True)]
        return OutputChange(
            what=what, told=_pictures_told(what, raw), pictures=(_address(what, raw[0]), _address(what, raw[1]))
        )
    told = "" if pair[0] and pair[1] else "only before" if pair[0] else "only after"
    return OutputChange(what=what, told=told, lines=changed_lines(*bodies))


_Pictures = Mapping[tuple[int, str], str]


def _pictures_of(pieces: tuple[Piece, ...]) -> _Pictures:
    # Streams were put in order since, so that outputs' numbers are those of the normalised pieces.
    ordered = RULES[0].apply(pieces, Own())
    return {(piece.output, piece.mime): piece.body for piece in ordered if piece.mime in _PICTURES}


def _pictures_told(what: str, raw: Sequence[str | None]) -> str:
    if raw[0] is None or raw[1] is None:
        return "only before" if raw[1] is None else "only after"
    if what != "image/png":
        return "another picture"
    try:
        share = pixels_apart(*(base64.b64decode(each, validate=True) for each in (raw[0], raw[1])))
    except (binascii.Error, ValueError):
        share = None
    return "another picture" if share is None else f"{max(share, 0.0001):.2%} of the pixels differ"


def _address(what: str, body: str | None) -> str | None:
    if body is None:
        return None
    packed = base64.b64encode(body.encode("utf-8", "replace")).decode("ascii") if what == "image/svg+xml" else body
    return f"data:{what};base64,{packed}"
