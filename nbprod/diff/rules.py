"""Rules that take from a cell's outputs what differs from run to run and says nothing about its results.

Each has a name, which is told wherever it was needed, and takes away as little as it can: docs/how-to/diff.md says of
each what it does not touch. All are applied to one cell of one run at a time, without a look at the other run, so that
equal after normalising is the same relation whichever of two runs comes first.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nbprod.diff.machine_ids import renumber_addresses, renumber_html_ids, renumber_temporary
from nbprod.diff.own_times import without_own_times
from nbprod.diff.pictures import picture_of
from nbprod.diff.pieces import Piece
from nbprod.diff.progress import without_progress
from nbprod.diff.side import Own
from nbprod.printable import printable

__all__ = ["RULES", "Rule", "normalised", "rules_needed"]

Pieces = tuple[Piece, ...]

_AMOUNT = r"(?:[\d.]+(?:[eE][+-]?\d+)?\s?(?:ns|us|µs|μs|ms|s|min|h|d)\s?)+"
_DURATIONS = (
    re.compile(rf"^(?P<label>[ \t]*CPU times: )(?:(?:user|sys|total)[: ]+{_AMOUNT}(?:, )?)+$", re.MULTILINE),
    re.compile(rf"^(?P<label>[ \t]*(?:Wall time|Compiler[ \t]*|Parser[ \t]*): ){_AMOUNT}$", re.MULTILINE),
    re.compile(
        rf"^(?P<label>){_AMOUNT}± {_AMOUNT}per loop \(mean ± std\. dev\. of \d+ runs?, [\d,]+ loops? each\)$",
        re.MULTILINE,
    ),
)
_COUNT = re.compile(r"(\bIn ?\[)\d+(\])")
_MODEL = re.compile(r'("model_id": ")([0-9a-f]{32})(")')
_WIDGET = "application/vnd.jupyter.widget-view+json"
_STREAMS = ("stdout", "stderr")
_MARKUP = ("text/html", "image/svg+xml")
_RAISED = ("error", "traceback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Args:
        name: what people call it.
        apply: returns a cell's pieces without what the rule takes away; applied twice, it changes nothing more.
    """

    name: str
    apply: Callable[[Pieces, Own], Pieces]


def normalised(pieces: Pieces, own: Own, rules: Sequence[Rule] | None = None) -> Pieces:
    """Return a cell's pieces after rules, all by default, each applied once and in their order."""
    for rule in RULES if rules is None else rules:
        pieces = rule.apply(pieces, own)
    return pieces


def rules_needed(before: tuple[Pieces, Own], after: tuple[Pieces, Own]) -> tuple[str, ...] | None:
    """Return the names of the rules without which two cells' pieces are not equal; None if they are not with all."""
    needed = list(RULES)
    if normalised(*before) != normalised(*after):
        return None
    for rule in RULES:
        rest = [each for each in needed if each is not rule]
        if normalised(*before, rest) == normalised(*after, rest):
            needed = rest
    return tuple(rule.name for rule in needed)


def _of_texts(change: Callable[[str], str]) -> Callable[[Pieces, Own], Pieces]:
    """Return a rule's function that changes each text by itself."""
    return lambda pieces, own: tuple(  # noqa: ARG005 - rules are called alike
        piece if piece.is_picture else piece.with_body(change) for piece in pieces
    )


def _renumbering(change: Callable[[str, dict[str, str]], str]) -> Callable[[Pieces, Own], Pieces]:
    """Return a rule's function that numbers things in the order in which they appear in the cell.

    What was the same thing twice keeps the same number, and what were two things keep two.
    """

    def apply(pieces: Pieces, own: Own) -> Pieces:  # noqa: ARG001 - rules are called alike
        seen: dict[str, str] = {}
        return tuple(
            piece if piece.is_picture else piece.with_body(lambda body: change(body, seen)) for piece in pieces
        )

    return apply


def _without_places(pieces: Pieces, own: Own) -> Pieces:
    """Name the run's own folders, and its id, by what they are."""
    places = {
        path.rstrip("/"): name for path, name in own.places.items() if path.startswith("/") and path.count("/") > 1
    }
    words = {**places, **({own.run_id: "run"} if own.run_id else {})}
    if not words:
        return pieces
    longest = sorted(words, key=len, reverse=True)
    found = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, longest))})(?![\w-]|\.\w)")
    return _of_texts(lambda text: found.sub(lambda match: f"<{words[match.group()]}>", text))(pieces, own)


def _streams_apart(pieces: Pieces, own: Own) -> Pieces:  # noqa: ARG001 - rules are called alike
    """Between two displays, put all of stdout before all of stderr: which came first is a race of two buffers."""
    made: list[Piece] = []
    number = -1
    place = 0
    while place < len(pieces):
        end = place
        if pieces[place].kind not in _STREAMS:
            while end < len(pieces) and pieces[end].output == pieces[place].output:
                end += 1
            number += 1
            made += (_numbered(piece, number) for piece in pieces[place:end])
            place = end
            continue
        while end < len(pieces) and pieces[end].kind in _STREAMS:
            end += 1
        for name in _STREAMS:
            text = "".join(piece.body for piece in pieces[place:end] if piece.kind == name)
            if text:
                number += 1
                made.append(Piece(output=number, kind=name, body=text))
        place = end
    return tuple(made)


def _numbered(piece: Piece, number: int) -> Piece:
    return Piece(output=number, kind=piece.kind, mime=piece.mime, body=piece.body)


def _without_colours(pieces: Pieces, own: Own) -> Pieces:  # noqa: ARG001 - rules are called alike
    return tuple(piece.with_body(printable) if piece.kind in _RAISED else piece for piece in pieces)


def _without_durations(text: str) -> str:
    for pattern in _DURATIONS:
        text = pattern.sub(r"\g<label><duration>", text)
    return text


def _without_times(pieces: Pieces, own: Own) -> Pieces:
    return _of_texts(lambda text: without_own_times(text, own))(pieces, own)


def _without_counts(pieces: Pieces, own: Own) -> Pieces:  # noqa: ARG001 - rules are called alike
    return tuple(
        piece.with_body(lambda body: _COUNT.sub(r"\1#\2", body)) if piece.kind in _RAISED else piece for piece in pieces
    )


def _renumbered_markup(pieces: Pieces, own: Own) -> Pieces:
    apply = _renumbering(renumber_html_ids)
    return tuple(apply((piece,), own)[0] if piece.mime in _MARKUP else piece for piece in pieces)


def _renumbered_widgets(pieces: Pieces, own: Own) -> Pieces:  # noqa: ARG001 - rules are called alike
    seen: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return match[1] + seen.setdefault(match[2], f"widget {len(seen) + 1}") + match[3]

    return tuple(
        piece.with_body(lambda body: _MODEL.sub(number, body)) if piece.mime == _WIDGET else piece for piece in pieces
    )


def _shown_pictures(pieces: Pieces, own: Own) -> Pieces:  # noqa: ARG001 - rules are called alike
    return tuple(piece.with_body(_shown) if piece.mime == "image/png" else piece for piece in pieces)


def _shown(body: str) -> str:
    try:
        found = picture_of(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError):
        return body
    return body if found is None else str(found)


RULES: tuple[Rule, ...] = (
    Rule(name="order of stdout and stderr", apply=_streams_apart),
    Rule(name="colours of errors", apply=_without_colours),
    Rule(name="progress bars", apply=_of_texts(without_progress)),
    Rule(name="measured durations", apply=_of_texts(_without_durations)),
    Rule(name="the run's own places", apply=_without_places),
    Rule(name="times during the run", apply=_without_times),
    Rule(name="temporary names", apply=_renumbering(renumber_temporary)),
    Rule(name="memory addresses", apply=_renumbering(renumber_addresses)),
    Rule(name="ids in HTML", apply=_renumbered_markup),
    Rule(name="ids of widgets", apply=_renumbered_widgets),
    Rule(name="execution counts in errors", apply=_without_counts),
    Rule(name="pixels of pictures", apply=_shown_pictures),
)
"""All rules, in the order in which they are applied."""
