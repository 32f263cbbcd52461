"""Masks secrets in what a notebook put out, before anything is hashed, logged or stored (law 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import AnyStr

from nbprod.digest import Json
from nbprod.errors import CallerError
from nbprod.masking.forms import bytes_forms, forms
from nbprod.masking.in_lines import InLines, overlap

__all__ = ["Masker"]

_NUMBER = re.compile(r"-?[0-9][-+.0-9eE]*")
_RARE = "\\%&"  # signs of escapes
_SHORTEST = 4  # anything shorter stands in every other text


class Masker:
    """Replaces each secret's value, plain or encoded, by `«secret:NAME»`.

    Encoded means: base64 (standard and URL-safe, also within a longer encoded text) and hex, both also cut into lines;
    URL-quoted, escaped as in JSON (once and twice), Python literals (of UTF-16 and of other literals, too), YAML, HTML
    and XML; with its quotes as in SQL, CSV and shells; for values of several lines, each line by itself. Compressed or
    encrypted forms, and secrets cut in two by the notebook, can't be found: masking is a net, not a wall.

    Args:
        secrets: values by their names.
        places: where each value is, for messages, by the secret's name.

    Attributes:
        longest: characters of the longest form of a secret, ends of lines included; 0 without secrets.

    Raises:
        CallerError: a value is shorter than 4 characters, contains `«` or `»`, or stands in a mask's own text.
    """

    __slots__ = ("_broken", "_in_bytes", "_in_lines", "_in_text", "_least", "_names", "_numbers", "_text", "longest")

    def __init__(self, secrets: Mapping[str, str], places: Mapping[str, str] | None = None) -> None:
        masks = {name: self.mask(name) for name in secrets}
        faults = {name: fault for name, value in secrets.items() if (fault := _fault(value, masks.values()))}
        if faults:
            where = {name: f"{name} ({place})" for name, place in (places or {}).items()}
            raise CallerError(
                f"the values of these secrets cannot be masked: {', '.join(sorted(faults))}",
                expected=f"at least {_SHORTEST} characters of text, without « and », no part of a secret's name",
                found="; ".join(f"{where.get(name, name)}: {fault}" for name, fault in sorted(faults.items())),
                hint="Choose longer, random values; what is no secret needs no entry in `secrets`.",
            )
        found = {form: masks[name] for name, value in secrets.items() for form in forms(value)}
        order = sorted((form for form in found if not any(form in mask for mask in masks.values())), key=_longest_first)
        self._in_text = {form: found[form] for form in order}
        self._in_lines = InLines(order)
        self._numbers = {form: found[form] for form in order if _NUMBER.fullmatch(form)}
        self._broken = tuple(form for form in order if "\n" in form or "\r" in form)
        self._names = {form: name for name, value in secrets.items() for form in forms(value)}
        self._in_bytes = {data: name for name, value in secrets.items() for data in _least(bytes_forms(value))}
        self._least = _by_sign(_least(order))
        self.longest = max(len(order[0]), self._in_lines.longest) if order else 0
        # A lookahead finds a match at every position, so also those that overlap.
        self._text = re.compile(f"(?=({'|'.join(map(re.escape, self._in_text))}))")

    @staticmethod
    def mask(name: str) -> str:
        """Return what stands in place of a secret."""
        return f"«secret:{name}»"

    def __bool__(self) -> bool:
        """Tell whether there is anything to mask."""
        return bool(self._in_text)

    def mask_text(self, text: str) -> str:
        """Return the text with every secret replaced, longest first."""
        pieces: list[str] = []
        done = 0
        for start, end, mask in self.runs_in(text):
            pieces += [text[done:start], mask]
            done = end
        return "".join([*pieces, text[done:]]) if pieces else text

    def runs_in(self, text: str) -> list[tuple[int, int, str]]:
        """Return where each run of overlapping forms begins and ends, in order, and the mask of its longest one.

        One mask stands in place of them all: no end of a secret stays.
        """
        return _runs(self._found_in(text))

    def _found_in(self, text: str) -> list[tuple[int, int, str]]:
        """Return where each form in a text begins and ends, and its mask, in order."""
        found = []
        # Looking for plain substrings is many times faster than the pattern, and mostly finds nothing.
        if any(sign in text and any(form in text for form in forms) for sign, forms in self._least):
            found = [(each.start(1), each.end(1), self._in_text[each[1]]) for each in self._text.finditer(text)]
        found += [(start, end, self._in_text[form]) for start, end, form in self._in_lines.found_in(text)]
        return sorted(found)

    def names_in(self, data: bytes) -> frozenset[str]:
        """Return the names of the secrets whose values, plain or encoded, are in the bytes."""
        names = {name for form, name in self._in_bytes.items() if form in data}
        return frozenset(names.union(map(self._names.__getitem__, self._in_lines.found_in_bytes(data))))

    @property
    def longest_bytes(self) -> int:
        """Bytes in which each secret can be found, whatever its form; 0 without secrets."""
        return max(self._in_lines.longest, max(map(len, self._in_bytes), default=0))

    def uncut(self, text: str, end: int) -> int:
        """Return the last position up to `end` at which an unfinished text can be cut.

        Neither a secret that is whole nor the beginning of one, which the text's end may be, is cut there.
        """
        before = -1
        while end not in (0, before):  # what comes before one may end within another
            before = end
            end = self._in_lines.uncut(text, end)
            # None but those of several lines go across the end of a line.
            for form in self._broken if text[end - 1 : end] in ("\n", "\r") else self._in_text:
                at = text.find(form, max(0, end - len(form) + 1), end + len(form) - 1)
                end = at if at >= 0 else min(end, len(text) - overlap(text, form))
        return end

    def settled(self, text: str) -> int:
        """Return how much of the beginning of an unfinished text no later character can make part of a secret.

        What comes before that position can be masked by itself: neither a secret, nor the beginning of one, nor a run
        of overlapping ones goes across it.
        """
        edge = max(0, len(text) - max(self.longest - 1, 0))
        start = end = 0
        for begun, ended, _ in self._found_in(text):
            if begun >= max(end, edge):
                break
            if begun >= end:
                start = begun
            end = max(end, ended)
        return start if start < edge < end else edge

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


def _runs(found: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Join those of the places, which are in order, that overlap."""
    runs: list[tuple[int, int, str]] = []
    longest = 0
    for begun, ended, mask in found:
        start, end, kept = begun, ended, mask
        if runs and begun < runs[-1][1]:
            start, before, kept = runs.pop()
            end = max(before, ended)
        else:
            longest = 0
        if ended - begun > longest:
            longest, kept = ended - begun, mask
        runs.append((start, end, kept))
    return runs


def _least(forms: Iterable[AnyStr]) -> tuple[AnyStr, ...]:
    """Return the forms that have no other one within: where none of these is, there is none of the others either."""
    least: list[AnyStr] = []
    for form in sorted(set(forms), key=len):
        if not any(one in form for one in least):
            least.append(form)
    return tuple(least)


def _by_sign(forms: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the forms by a sign that each of a group has: a single sign is found, or not, in next to no time."""
    groups: dict[str, list[str]] = {}
    for form in forms:
        groups.setdefault(next((sign for sign in _RARE if sign in form), ""), []).append(form)
    return tuple((sign, tuple(group)) for sign, group in groups.items())


def _longest_first(form: str) -> tuple[int, str]:
    return -len(form), form


def _fault(value: str, masks: Iterable[str]) -> str | None:
    """Return why a value cannot be masked, in words that do not tell it; None where it can."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "it is no text: there are lone surrogates in it, as of bytes that are not UTF-8"
    if not value:
        return "it is empty"
    if len(value) < _SHORTEST:
        return f"it has fewer than {_SHORTEST} characters"
    if {"«", "»"} & set(value):
        return "it holds « or », between which the name of a secret is put in its place"
    if mask := next((mask for mask in masks if value in mask), None):
        return f"it is a part of {mask}, which is put in a secret's place"
    return None
