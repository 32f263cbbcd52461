"""Moments as text that sorts: RFC 3339, UTC, always six decimals and `Z`."""

from __future__ import annotations

from datetime import UTC, datetime

from nbprod.errors import CallerError

__all__ = ["as_utc", "moment_text", "parse_moment", "utc_now"]


def utc_now() -> datetime:
    """Return the time now: aware, UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC.

    Raises:
        CallerError: the moment has no zone.
    """
    if moment.utcoffset() is None:
        raise CallerError("a time without a zone", expected="an aware datetime", found=moment.isoformat())
    return moment.astimezone(UTC)


def moment_text(moment: datetime) -> str:
    """Return `2013-01-31T23:59:59.000000Z`: text order is time order."""
    return as_utc(moment).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_moment(text: str) -> datetime:
    """Read what `moment_text` wrote; aware, UTC.

    Raises:
        ValueError: the text has another form.
    """
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
