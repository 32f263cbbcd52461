"""Texts from notebooks and people as a terminal or a page may show them: nothing in them drives it, or hides."""

from __future__ import annotations

import re

__all__ = ["printable"]

# ECMA-48, with the eight-bit forms: CSI sequences; OSC, DCS, SOS, PM and APC strings with their ends; other escapes.
# No part of it reads past the next introducer, so that no text takes longer than its length.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_UNUSUAL = re.compile(r"[^\n\t -~]")
_JOINERS = "\u200c\u200d"
"""What scripts and emoji need between letters; it cannot turn a line around, as other invisible characters can."""


def printable(text: str, *, instead: str = "\ufffd") -> str:
    r"""Return a text without escape sequences (colours, links, titles), control and other invisible characters.

    Args:
        text: any; line ends and tabs stay.
        instead: what stands for a character that is left out; sequences leave nothing behind.
    """
    if text.isprintable():
        return text
    return _UNUSUAL.sub(
        lambda found: found[0] if found[0].isprintable() or found[0] in _JOINERS else instead, _SEQUENCE.sub("", text)
    )
