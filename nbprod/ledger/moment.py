"""Moments as text that sorts: RFC 3339, UTC, always six decimals and `Z`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from nbprod.errors import CallerError

__all__ = ["as_utc", "moment_text", "parse_moment", "utc_now"]

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z")


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
    if not _FORM.match(text):
        raise ValueError(f"not a moment as the ledger writes it: {text!r}")
    return datetime.fromisoformat(text)  # a tenth of what strptime takes: a page has hundreds
