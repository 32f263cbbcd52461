"""Moments that a run printed, told from moments that its data are about: only the former lie within the run."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from nbprod.diff.side import Own

__all__ = ["without_own_times"]

_ISO = re.compile(
    r"(?<![\w-])\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z\b|UTC\b|[+-]\d\d:?\d\d\b))?(?![\d:])"
)
_CTIME = re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\b")
_SLACK = timedelta(seconds=2)
"""For clocks of two machines, and what is rounded."""
_MICROSECONDS = 6


def without_own_times(text: str, own: Own) -> str:
    """Return a text without the moments that lie between the run's start and its end, ISO 8601 or as `ctime` has them.

    A moment without a zone counts if it does so in UTC or in the run's own zone.
    """
    started, finished = own.started, own.finished
    if started is None or finished is None:
        return text
    zones = (UTC, own.zone or UTC)
    first, last = started - _SLACK, finished + _SLACK

    def shown(match: re.Match[str]) -> str:
        moment, exact = _read(match.group())
        if moment is None:
            return match.group()
        start = first if exact else first - timedelta(minutes=1)
        return "<time>" if any(start <= each <= last for each in _aware(moment, zones)) else match.group()

    return _CTIME.sub(shown, _ISO.sub(shown, text))


def _aware(moment: datetime, zones: tuple[tzinfo, ...]) -> list[datetime]:
    return [moment] if moment.tzinfo is not None else [moment.replace(tzinfo=zone) for zone in zones]


def _read(text: str) -> tuple[datetime | None, bool]:
    """Return a moment, and whether it has seconds."""
    try:
        if text[0].isalpha():
            return datetime.strptime(text, "%a %b %d %H:%M:%S %Y"), True  # noqa: DTZ007 - it has no zone
        plain = re.sub(r" ?(?:Z|UTC)$", "+00:00", text.replace(",", "."))
        plain = re.sub(r" (?=[+-]\d\d:?\d\d$)", "", plain)
        plain = re.sub(r"\.(\d+)", lambda match: "." + match[1][:_MICROSECONDS].ljust(_MICROSECONDS, "0"), plain)
        return datetime.fromisoformat(plain), text.count(":", 0, 19) > 1
    except ValueError:
        return None, True
