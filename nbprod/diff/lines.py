"""Two texts side by side, in as many lines as a reader bears."""

from __future__ import annotations

import difflib

from nbprod.printable import printable

__all__ = ["changed_lines"]

_MOST_LINES = 400
"""Lines per text, from the first that differs on, that are compared one by one."""
_SHOWN = 60
_WIDTH = 400


def changed_lines(before: str, after: str) -> tuple[str, ...]:
    """Return the lines that differ, with a few around them: `-` before, `+` after, two spaces for what is the same.

    They are shown as terminals and pages may show them; where only what cannot be shown differs, it is written out.
    """
    shown = printable(before), printable(after)
    if shown[0] == shown[1]:
        shown = _written_out(before), _written_out(after)
    if shown[0] != shown[1]:
        before, after = shown
    first, second = before.splitlines(), after.splitlines()
    same = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    start = max(0, same - 2)
    first, second = first[start:], second[start:]
    left_out = max(len(first), len(second)) - _MOST_LINES
    told = list(difflib.unified_diff(first[:_MOST_LINES], second[:_MOST_LINES], lineterm="", n=2))[2:]
    lines = [_short(f"{line[:1]} {line[1:]}") for line in told if not line.startswith("@@")]
    if len(lines) > _SHOWN:
        lines = [*lines[:_SHOWN], f"… {len(lines) - _SHOWN} more lines"]
    if left_out > 0:
        lines.append(f"… {left_out} lines behind these were not compared one by one")
    if not lines:  # they differ in what ends their lines, or behind the last that was compared
        lines = [f"- {_short(repr(before[-_WIDTH:]))}", f"+ {_short(repr(after[-_WIDTH:]))}"]
    return tuple(lines)


def _written_out(text: str) -> str:
    return "\n".join(map(ascii, text.splitlines()))


def _short(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}… ({len(line) - _WIDTH} more characters)"
