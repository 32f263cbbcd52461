"""Streams held back to whole lines where a run has secrets: one that comes in two pieces is masked all the same.

What may be the beginning of a secret of several lines is held back as well, until the rest has come.

A kernel cuts a stream wherever its buffer is flushed, a secret's middle included. Messages are masked one by one as
they arrive (`nbprod.kernels.wire`); here the pieces of a line meet before anybody sees them.
"""

from __future__ import annotations

import dataclasses
import json

from nbprod.kernels.wire import Message
from nbprod.masking import Masker

__all__ = ["HeldLines"]

_LONGEST = 1 << 16
"""Characters after which a line without an end is let go, but for its last ones: a secret may begin there."""


class HeldLines:
    """Holds the last, unfinished line of each stream.

    Args:
        masker: replaces secrets in a text; the messages that are fed are masked already, each by itself.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held: dict[tuple[str, object], Message] = {}

    def feed(self, message: Message) -> list[Message]:
        """Take a message; return those that may be seen now, in order."""
        if message.kind != "stream":
            return [*self.flush(), message]
        source = _source(message)
        text = str(message.content.get("text", ""))
        held = self._held.pop(source, None)
        if held is not None:
            text = _text(held) + text
        # Another stream comes in between: only what may be half of a secret still waits for its other half.
        done = [other for other, held in self._held.items() if not self._masker.open(_text(held))]
        before = [self._seen(self._held.pop(other)) for other in done]
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if len(text) - end > _LONGEST:
            end += self._masker.settled(text[end:])
        end = self._masker.uncut(text, end)
        if end < len(text):
            self._held[source] = _with_text(message, text[end:])
        if held is None:  # it was masked as it came
            return [*before, message if end == len(text) else _with_text(message, text[:end])] if end else before
        return [*before, _with_text(message, self._masker.mask_text(text[:end]))] if end else before

    def flush(self) -> list[Message]:
        """Return what is held: the cell is done, or something else was put out after it."""
        held, self._held = self._held, {}
        return [self._seen(message) for message in held.values()]

    def _seen(self, message: Message) -> Message:
        return _with_text(message, self._masker.mask_text(_text(message)))


def _text(message: Message) -> str:
    return str(message.content["text"])


def _source(message: Message) -> tuple[str, object]:
    return message.parent, message.content.get("name")


def _with_text(message: Message, text: str) -> Message:
    content = {**message.content, "text": text}
    return dataclasses.replace(message, content=content, raw=json.dumps(content).encode("ascii"))
