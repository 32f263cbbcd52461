"""Secrets in long encoded texts that are cut into lines: MIME's and PEM's base64, `xxd -p`, bytes as `pprint` has them.

Such a text is told by its shape: 16 signs or more of base64 or hex before the end of a line, plain or escaped. Only
where there is one, all is looked through once more without the ends of its lines.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["InLines", "overlap"]

_SIGNS = r"\-A-Za-z0-9+/_"
_WIDTH = 16
_RUN = f"[{_SIGNS}]{{{_WIDTH}}}"
_FORM = re.compile(f"[{_SIGNS}]{{8,}}=*")
# The end of a line comes first: it is rare, and what stands before it is looked at there only.
_CUT = rf"\n(?<=[{_SIGNS}]{{13}}[{_SIGNS}'\"]..\n)(?:(?<={_RUN}\n)|(?<={_RUN}['\"\r]\n)|(?<={_RUN}['\"],\n))(?<!---\n)"
_ESCAPED = rf"\\n(?:(?<={_RUN}\\n)|(?<={_RUN}\\r\\n)|(?<={_RUN}\\\\n))"
_IN_TEXT = re.compile(_CUT), re.compile(_ESCAPED)
_IN_BYTES = re.compile(_CUT.encode()), re.compile(_ESCAPED.encode())
_INDENT = r"[ \t]{0,80}(?:[bBuU]?['\"])?"
_BETWEEN = re.compile(
    rf"\n{_INDENT}|\r\n{_INDENT}|'(?:,?\r?\n){_INDENT}|\"(?:,?\r?\n){_INDENT}|\\n{_INDENT}|\\r\\n{_INDENT}|\\\\n|\\\\r\\\\n"
)
"""What stands between two lines: their ends, and the quotes and the indent of a literal over several lines."""
_BEGUN_ESCAPE = r"\\{1,2}(?:r\\{0,2})?"
_BEGUN = re.compile(
    rf"(?<={_RUN})(?:['\"],?)?"
    rf"(?:\r|\r?\n[ \t]{{0,80}}(?:[bBuU]|(?:[bBuU]?['\"])?{_BEGUN_ESCAPE})|{_BEGUN_ESCAPE})?\Z"
)
"""The beginning of what stands between two lines, where a text's end cuts it."""
_LONGEST_BEGUN = 90
_CONTEXT = 24
"""Characters before a form that tell whether it is cut: of the line's run of signs, and of what ends it."""
_LONGEST_BETWEEN = 8
"""Characters of it that are reckoned with where a text is looked through piece by piece."""


class InLines:
    """Finds forms of secrets that are cut by the ends of lines.

    Args:
        forms: texts that may be cut; those of other signs than base64's and hex's are left out.

    Attributes:
        longest: characters in which the longest form is found, with what stands between its lines; 0 without any.
    """

    __slots__ = ("_forms", "longest")

    def __init__(self, forms: Iterable[str]) -> None:
        self._forms = tuple(form for form in forms if _FORM.fullmatch(form))
        most = max(map(len, self._forms), default=0)
        self.longest = _WIDTH + most + _LONGEST_BETWEEN * (1 + most // _WIDTH) if most else 0

    def found_in(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield where a form that is cut begins and ends, and the form."""
        if self._forms and _is_cut(text):
            yield from self._found_in(text)

    def found_in_bytes(self, data: bytes) -> frozenset[str]:
        """Return the forms that are in the bytes, cut into lines."""
        if self._forms and _are_cut(data):
            return frozenset(form for _, _, form in self._found_in(data.decode("latin-1")))
        return frozenset()

    def uncut(self, text: str, end: int) -> int:
        """Return the last position up to `end` at which an unfinished text can be cut.

        Neither a form that is cut into lines nor the beginning of one, which the text's end may be, is cut there.
        """
        if not self._forms:
            return end
        start = max(0, len(text) - self.longest)
        window = text[start:]
        begun = _BEGUN.search(window, len(window) - _LONGEST_BEGUN)
        if begun is not None and begun[0]:
            window = f"{window[: begun.start()]}\n"
        if _is_cut(window):
            joined = _BETWEEN.sub("", window)
            most = max(overlap(joined, form) for form in self._forms)
            at = start + _Places(window).original(len(joined) - most)
            if most and at < end:
                end = _before(text, at)
        start = max(0, end - self.longest)
        for at, ended, _ in self.found_in(text[start : end + self.longest]):
            if start + at < end < start + ended:
                end = _before(text, start + at)
        return end

    def _found_in(self, text: str) -> Iterator[tuple[int, int, str]]:
        joined, places = _BETWEEN.sub("", text), None
        for form in self._forms:
            at = joined.find(form)
            while at >= 0:
                places = places or _Places(text)
                start, end = places.original(at), places.original(at + len(form) - 1) + 1
                if end - start > len(form):
                    yield start, end, form
                at = joined.find(form, at + 1)


def _before(text: str, at: int) -> int:
    """Return where to cut before a form: with what tells that it is one, and at most its line."""
    return max(text.rfind("\n", 0, at) + 1, at - _CONTEXT)


class _Places:
    """Where in a text the characters are that are left when it is joined."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, text: str) -> None:
        self._starts, self._ends = [0], [0]
        left_out = 0
        for between in _BETWEEN.finditer(text):
            left_out += between.end() - between.start()
            self._starts.append(between.end() - left_out)
            self._ends.append(between.end())

    def original(self, at: int) -> int:
        """Return where the character is that is at that place when joined."""
        index = bisect_right(self._starts, at) - 1
        return self._ends[index] + at - self._starts[index]


def _is_cut(text: str) -> bool:
    plain, escaped = _IN_TEXT
    # A single sign is found, or not, in next to no time.
    return plain.search(text) is not None or ("\\" in text and escaped.search(text) is not None)


def _are_cut(data: bytes) -> bool:
    plain, escaped = _IN_BYTES
    return plain.search(data) is not None or (b"\\" in data and escaped.search(data) is not None)


def overlap(text: str, form: str) -> int:
    """Return how many characters at the text's end are the form's beginning, but not all of it."""
    most = min(len(text), len(form) - 1)
    at = text.find(form[0], len(text) - most)
    while at >= 0:
        if form.startswith(text[at:]):
            return len(text) - at
        at = text.find(form[0], at + 1)
    return 0
