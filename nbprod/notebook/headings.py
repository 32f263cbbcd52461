"""Headings of markdown cells (CommonMark's `#` form), for titles and progress labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Heading", "headings"]

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: level 1 to 6, and its text as written."""

    level: int
    text: str


def headings(markdown: str) -> list[Heading]:
    """Return the headings of a markdown text from top to bottom, those with a text only; fenced code has none."""
    found: list[Heading] = []
    fence = ""
    for line in markdown.splitlines():
        if opened := _FENCE.match(line):
            mark = opened[1]
            if not fence:
                fence = mark
            elif mark.startswith(fence) and not line.strip(mark[0] + " \t"):
                fence = ""
        elif not fence and (match := _HEADING.match(line)) and match[2]:
            found.append(Heading(len(match[1]), match[2].strip()))
    return found
