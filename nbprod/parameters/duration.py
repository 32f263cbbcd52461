"""Durations as text: ISO 8601 `P1DT2H`, `HH:MM:SS` or `1h30m`, exact to the microsecond."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

__all__ = ["format_duration", "parse_duration", "setting_duration"]

_MICROSECONDS = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_NUMBER = r"(\d+(?:[.,]\d+)?)"
# ISO 8601-1, 5.5.2, without years and months: their length depends on the calendar.
_ISO = re.compile(rf"P(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?\Z")
_CLOCK = re.compile(r"(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?\Z")
_UNITS = re.compile(rf"(?:{_NUMBER}\s*(w|d|h|min|ms|us|m|s)\s*)+\Z")
_UNIT = re.compile(rf"{_NUMBER}\s*(w|d|h|min|ms|us|m|s)")


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    Args:
        text: `P1DT2H`, `-PT0.5S`, `26:00:00`, `0:30`, `90s`, `1h30m`, `500ms`.

    Raises:
        ValueError: another form, more than microseconds, or beyond what `timedelta` holds.
    """
    body = text.strip()
    sign = -1 if body.startswith("-") else 1
    body = body[1:] if body[:1] in {"-", "+"} else body
    if (iso := _ISO.match(body)) and any(iso.groups()):
        parts = list(zip(iso.groups(), "wdhms", strict=True))
    elif clock := _CLOCK.match(body):
        parts = list(zip(clock.groups(), "hms", strict=True))
    elif _UNITS.match(body):
        parts = [(number, unit) for number, unit in _UNIT.findall(body)]
    else:
        raise ValueError(f"not a duration: {text!r}")
    total = sum((Fraction(n.replace(",", ".")) * _MICROSECONDS[unit] for n, unit in parts if n), Fraction(0))
    if total.denominator != 1:
        raise ValueError(f"finer than a microsecond: {text!r}")
    try:
        return timedelta(microseconds=sign * int(total))
    except OverflowError as error:
        raise ValueError(f"too long a duration: {text!r}") from error


def setting_duration(value: object) -> timedelta:
    """Return the duration that a setting holds; zero where it holds none."""
    try:
        return parse_duration(value) if isinstance(value, str) else timedelta(0)
    except ValueError:
        return timedelta(0)


def format_duration(value: timedelta) -> str:
    """Write a duration in ISO 8601 so that `parse_duration` gives back exactly the same."""
    total = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    sign, total = ("-", -total) if total < 0 else ("", total)
    seconds, micro = divmod(total, 1_000_000)
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3_600)
    minutes, seconds = divmod(seconds, 60)
    fraction = f".{micro:06d}".rstrip("0") if micro else ""
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    if seconds or micro:
        clock += f"{seconds}{fraction}S"
    if not days and not clock:
        return "PT0S"
    return f"{sign}P{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}"
