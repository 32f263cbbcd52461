"""Progress bars without what depends on the clock: how often they were drawn, and how fast it went."""

from __future__ import annotations

import re

__all__ = ["without_progress"]

_CLOCK = r"(?:\d+:)?\d+:\d\d"
_RATE = r"(?:\?|[\d.,]+(?:e[+-]?\d+)?) ?(?:[A-Za-zµ]+/s|s/[A-Za-z]+)"
_SPEED = re.compile(rf"\[{_CLOCK}(?:<(?:\?|{_CLOCK}))?, +{_RATE}(?P<told>,[^\]\n]*)?\]")
"""tqdm's times and rate, and what the notebook had it tell behind them (a loss), which stays."""
_STEP = re.compile(r"(?<!\S)\d+s (?:[\d.]+)(?:us|ms|s)/(?:step|epoch)\b")
"""Keras's: `1s 2ms/step`."""


def without_progress(text: str) -> str:
    """Return a text with each progress bar as it stood last, without times and rates.

    What else was written over by a carriage return stays.
    """
    if "\r" in text:
        text = "\n".join(_last_drawn(line) if "\r" in line else line for line in text.split("\n"))
    return _STEP.sub("<speed>", _SPEED.sub(r"[<speed>\g<told>]", text))


def _last_drawn(line: str) -> str:
    """Drop the bars of a line that another drawing of the same bar follows."""
    kept: list[str] = []
    for drawn in line.split("\r"):
        if kept and _label(kept[-1]) is not None and (not drawn.strip() or _label(kept[-1]) == _label(drawn)):
            if drawn.strip():
                kept[-1] = drawn
            continue
        kept.append(drawn)
    return "\r".join(kept)


def _label(drawn: str) -> str | None:
    """Return what stands before a bar; None for what is no bar."""
    found = _SPEED.search(drawn)
    if found is None:
        return None
    head, bar, _ = drawn[: found.start()].partition("%|")
    return head.rstrip("0123456789 ") if bar else head.rstrip("0123456789.kMGTit /B")
