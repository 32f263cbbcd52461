"""A number with what it counts, as people say it."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, what: str, many: str | None = None) -> str:
    """Return `1 run`, `2 runs`, `10,000 runs`.

    Args:
        number: how many.
        what: what one of them is called.
        many: what several are called; `what` with an `s` by default.
    """
    return f"{number:,} {what if number == 1 else many or what + 's'}"
