"""Streams held back where a run has secrets: one that comes in several pieces is masked all the same.

A kernel cuts a stream wherever its buffer is flushed, a secret's middle included. Messages are masked one by one as
they arrive (`nbprod.kernels.wire`); here the pieces meet before anybody sees them.

While a stream goes on, its last, unfinished line waits. When something else comes, a display or a cell's end, only an
end that may be the beginning of a secret still waits: for more of its stream, of the same cell or of the next, or for
the end of the run. So what is seen of a stream, put together, by cell or in all, never reads as a secret.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

from nbprod.kernels.wire import Message
from nbprod.masking import Masker

__all__ = ["HeldStreams"]

_LONGEST = 1 << 16
"""Characters after which a line without an end is let go, but for its last ones: a secret may begin there."""
_SHORT = 200
"""Characters of a line that is not torn where its end must wait: all of it does."""
_LEAD = re.compile(r"\S+\Z")
_LEAD_SIZE = 24
"""Characters of a line that was let go that tell whether base64 goes on in the next one (see `InLines`)."""
_Until = Callable[[str], int] | None


@dataclasses.dataclass(slots=True, eq=False)
class _Piece:
    """Consecutive text of one cell.

    Args:
        message: what it came by; the cell's.
        text: what is left of it.
        gone: it was let go, or cleared; what comes after it is still looked at together with it.
        lead: it is the end of a line that was let go, and no beginning of a secret.
        upto: characters that may be let go.
    """

    message: Message
    text: str
    gone: bool = False
    lead: bool = False
    upto: int = 0


class HeldStreams:
    """Holds the ends of streams, by their names.

    Args:
        masker: replaces secrets in a text; the messages that are fed are masked already, each by itself.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._pieces: dict[object, list[_Piece]] = {}
        self._clears: dict[str, Message] = {}

    def feed(self, message: Message) -> list[Message]:
        """Take a message; return those that may be seen now, in order."""
        if message.kind == "clear_output":
            return self._clear(message)
        due = self._clears.pop(message.parent, None)
        if due is not None:
            self._cleared(message.parent)
        cleared = [] if due is None else [due]
        if message.kind != "stream":
            return [*self.settle(), *cleared, message]
        name, text = message.content.get("name"), str(message.content.get("text", ""))
        before = [seen for other in self._pieces if other != name for seen in self._let_go(other, self._open)]
        pieces = self._pieces.setdefault(name, [])
        if pieces and not pieces[-1].gone and pieces[-1].message.parent == message.parent:
            pieces[-1].text += text
        else:
            pieces.append(_Piece(message, text))
        return [*before, *cleared, *self._let_go(name, self._unfinished)]

    def settle(self) -> list[Message]:
        """Return what is held, but for what may be the beginning of a secret: the cell is done."""
        return [seen for name in self._pieces for seen in self._let_go(name, self._open)]

    def flush(self) -> list[Message]:
        """Return all that is held: no stream goes on."""
        seen = [seen for name in self._pieces for seen in self._let_go(name, None)]
        self._pieces.clear()
        return seen

    # --- what is cleared ------------------------------------------------------------------------

    def _clear(self, message: Message) -> list[Message]:
        """Clear what is held of the cell; at its next output, where the message says so."""
        before = self.settle()
        if message.content.get("wait") and not all(piece.gone for piece in self._of(message.parent)):
            self._clears[message.parent] = message
            return before
        self._clears.pop(message.parent, None)
        self._cleared(message.parent)
        return [*before, message]

    def _cleared(self, parent: str) -> None:
        for piece in self._of(parent):
            piece.gone = True

    def _of(self, parent: str) -> list[_Piece]:
        return [each for all_of in self._pieces.values() for each in all_of if each.message.parent == parent]

    # --- what is let go -------------------------------------------------------------------------

    def _let_go(self, name: object, until: _Until) -> list[Message]:
        """Mask what is held of a stream, and return what may be seen.

        Args:
            name: the stream's.
            until: says how much of a cell's unfinished text may be seen; None: nothing follows any more.
        """
        pieces = self._pieces[name]
        if not pieces:
            return []
        cells: dict[str, list[_Piece]] = {}
        for piece in pieces:
            cells.setdefault(piece.message.parent, []).append(piece)
        chains = [(chain, until) for chain in cells.values() if not all(piece.lead for piece in chain)]
        if len(cells) > 1:
            chains.append((pieces, until and self._open))
        ends = [self._masked(chain, upto) for chain, upto in chains]
        for piece in pieces:
            piece.upto = len(piece.text)
        for (chain, upto), end in zip(chains, ends, strict=True):
            _limit(chain, end if len(chains) == 1 else _end(chain, upto))
        seen = [_seen(piece) for piece in pieces if piece.upto and not piece.gone]
        self._pieces[name] = self._left(pieces)
        return seen

    def _masked(self, chain: list[_Piece], until: _Until) -> int:
        """Replace the secrets in what may be seen of pieces; return where that ends then."""
        text = "".join(piece.text for piece in chain)
        end = len(text) if until is None else until(text)
        if len(chain) == 1 and text == chain[0].message.content.get("text"):
            return end  # it was masked as it came
        rest = len(text) - end
        for start, stop, mask in reversed(self._masker.runs_in(text[:end])):
            written, at = mask, 0
            for piece in chain:
                size = len(piece.text)
                first, last = max(start - at, 0), min(stop - at, size)
                if first < last:
                    put = "" if piece.gone else written
                    piece.text = f"{piece.text[:first]}{put}{piece.text[last:]}"
                    written = "" if put else written
                at += size
        return sum(len(piece.text) for piece in chain) - rest

    def _unfinished(self, text: str) -> int:
        """Return where the last, unfinished line begins, or what of it may be the beginning of a secret."""
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if len(text) - end > _LONGEST:
            end += self._masker.settled(text[end:])
        return self._masker.uncut(text, end)

    def _open(self, text: str) -> int:
        """Return where what may be the beginning of a secret begins, or its line if that is short."""
        end = self._masker.uncut(text, len(text))
        line = max(text.rfind("\n", 0, end), text.rfind("\r", 0, end)) + 1
        torn = end < len(text) and line < end <= line + _SHORT
        return line if torn and self._masker.uncut(text, line) == line else end

    @staticmethod
    def _left(pieces: list[_Piece]) -> list[_Piece]:
        """Return what is still held, and what of the lines that were let go is to be looked at again."""
        left: list[_Piece] = []
        leads: dict[str, str] = {}
        for piece in pieces:
            parent = piece.message.parent
            if piece.gone and piece.upto < len(piece.text):
                left.append(piece)
                continue
            lead = leads[parent] = _lead(leads.pop(parent, "") + piece.text[: piece.upto])
            if piece.upto < len(piece.text):
                left += [_Piece(piece.message, lead, gone=True, lead=True)] if leads.pop(parent) else []
                left.append(_Piece(piece.message, piece.text[piece.upto :]))
        last = pieces[-1].message
        lead = leads.get(last.parent, "")
        return [*left, _Piece(last, lead, gone=True, lead=True)] if lead else left


def _end(chain: list[_Piece], until: _Until) -> int:
    text = "".join(piece.text for piece in chain)
    return len(text) if until is None else until(text)


def _limit(chain: list[_Piece], end: int) -> None:
    """Let no piece go beyond what may be seen of all their text."""
    for piece in chain:
        piece.upto = min(piece.upto, max(0, end))
        end -= len(piece.text)


def _lead(text: str) -> str:
    found = _LEAD.search(text[-_LEAD_SIZE:])
    return "" if found is None else found[0]


def _seen(piece: _Piece) -> Message:
    text = piece.text[: piece.upto]
    if text == piece.message.content.get("text"):
        return piece.message
    content: dict[str, Any] = {**piece.message.content, "text": text}
    return dataclasses.replace(piece.message, content=content, raw=json.dumps(content).encode("ascii"))
