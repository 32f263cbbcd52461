"""Masks secrets in what a notebook put out, before anything is hashed, logged or stored (law 7)."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from nbprod.digest import Json
from nbprod.errors import CallerError

__all__ = ["Masker"]

_NUMBER = re.compile(r"-?[0-9][-+.0-9eE]*")
_SHORTEST = 4  # anything shorter stands in every other text
_SHORTEST_PART = 8  # of a form that is only a piece of the secret: a line, or base64 inside of longer base64


class Masker:
    """Replaces each secret's value, plain or encoded, by `«secret:NAME»`.

    Encoded means: base64 (standard and URL-safe, also within a longer encoded text), hex, URL-quoted, escaped as
    in JSON, Python literals and HTML; for values of several lines, each line by itself. Compressed or encrypted
    forms, and secrets cut in two by the notebook, can't be found: masking is a net, not a wall.

    Args:
        secrets: values by their names.

    Attributes:
        longest: characters of the longest form of a secret; 0 without secrets.

    Raises:
        CallerError: a value is shorter than 4 characters, contains `«` or `»`, or stands in a mask's own text.
    """

    __slots__ = ("_in_bytes", "_in_text", "_numbers", "_text", "longest")

    def __init__(self, secrets: Mapping[str, str]) -> None:
        masks = {name: f"«secret:{name}»" for name in secrets}
        faults = [name for name, value in secrets.items() if not _maskable(value, masks.values())]
        if faults:
            raise CallerError(
                f"the values of these secrets cannot be masked: {', '.join(sorted(faults))}",
                expected=f"at least {_SHORTEST} characters of text, without « and », no part of a secret's name",
                hint="Choose longer, random values",
            )
        found = {form: masks[name] for name, value in secrets.items() for form in _forms(value)}
        forms = sorted((form for form in found if not any(form in mask for mask in masks.values())), key=_longest_first)
        self._in_text = {form: found[form] for form in forms}
        self._numbers = {form: found[form] for form in forms if _NUMBER.fullmatch(form)}
        # A form that holds another one is found by that.
        self._in_bytes = [form.encode() for form in forms if not any(o != form and o in form for o in forms)]
        self.longest = len(forms[0]) if forms else 0
        # A lookahead finds a match at every position, so also those that overlap.
        self._text = re.compile(f"(?=({'|'.join(map(re.escape, self._in_text))}))")

    def __bool__(self) -> bool:
        """Tell whether there is anything to mask."""
        return bool(self._in_text)

    def mask_text(self, text: str) -> str:
        """Return the text with every secret replaced, longest first."""
        # Looking for plain substrings is many times faster than the pattern, and mostly finds nothing.
        if not any(form in text for form in self._in_text):
            return text
        return _replaced(text, self._text, self._in_text)

    def settled(self, text: str) -> int:
        """Return how much of the beginning of an unfinished text no later character can make part of a secret.

        What comes before that position can be masked by itself: neither a secret, nor the beginning of one, nor a run
        of overlapping ones goes across it.
        """
        edge = max(0, len(text) - max(self.longest - 1, 0))
        start = end = 0
        for match in self._text.finditer(text) if self._in_text else ():
            if match.start(1) >= max(end, edge):
                break
            if match.start(1) >= end:
                start = match.start(1)
            end = max(end, match.end(1))
        return start if start < edge < end else edge

    def is_in(self, blocks: Iterable[bytes]) -> bool:
        """Say whether a secret stands in the blocks of a file, in any form that is masked in texts, as UTF-8."""
        if not self._in_bytes:
            return False
        before, overlap = b"", max(map(len, self._in_bytes)) - 1
        for block in blocks:
            text = before + block
            if any(form in text for form in self._in_bytes):
                return True
            before = text[-overlap:]
        return False

    def mask_json(self, value: Json) -> Json:
        """Return the value with secrets replaced in texts and keys, and numbers that are one replaced by its mask."""
        return self._masked(value) if self._in_text else value

    def _masked(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, Mapping):
            return {self.mask_text(key): self._masked(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(item) for item in value]
        if value is None or isinstance(value, bool):
            return value
        # A number's repr is its JSON, NaN and infinities aside; json.dumps takes ten times as long.
        return self._numbers.get(repr(value), value) if self._numbers else value


def _replaced(text: str, pattern: re.Pattern[str], masks: Mapping[str, str]) -> str:
    """Replace each run of overlapping matches by one mask, that of its longest match: no end of a secret stays."""
    pieces: list[str] = []
    done = start = end = 0
    longest = ""
    for match in pattern.finditer(text):
        if match.start(1) >= end:
            pieces += [text[done:start], masks[longest]] if longest else []
            done, start, longest = end, match.start(1), match[1]
        longest = max(longest, match[1], key=len)
        end = max(end, match.end(1))
    pieces += [text[done:start], masks[longest], text[end:]]
    return "".join(pieces)


def _longest_first(form: str) -> tuple[int, str]:
    return -len(form), form


def _maskable(value: str, masks: Iterable[str]) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return len(value) >= _SHORTEST and not {"«", "»"} & set(value) and not any(value in mask for mask in masks)


def _forms(value: str) -> Iterator[str]:
    yield value
    data = value.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode()
        for lead in range(3):
            # The characters that depend on nothing but the secret, when `lead` bytes (modulo 3) precede it.
            inner = encode(bytes(lead) + data)[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6].decode()
            if len(inner) >= _SHORTEST_PART:
                yield inner
    yield data.hex()
    yield data.hex().upper()
    yield from (quote(value), quote(value, safe=""))
    yield quote_plus(value)
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (repr(value)[1:-1], ascii(value)[1:-1])
    yield from (html.escape(value), html.escape(value, quote=False))
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line for line in map(str.strip, lines) if len(line) >= _SHORTEST_PART)
