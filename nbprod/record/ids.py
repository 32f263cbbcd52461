"""Run ids: UUIDv7 (RFC 9562, section 5.7), so that text order is time order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from nbprod.errors import CallerError

__all__ = ["RunId"]

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True, order=True)
class RunId:
    """The id of one run; `str(run_id)` is the lower-case UUID text and parses back exactly."""

    text: str

    def __post_init__(self) -> None:
        """Refuse anything that is not a UUIDv7."""
        if not _FORM.match(self.text):
            raise CallerError("not a run id", expected="a UUIDv7 in lower-case hex", found=repr(self.text))

    def __str__(self) -> str:
        """Return the UUID text."""
        return self.text

    @classmethod
    def new(cls, at: datetime, random: bytes) -> RunId:
        """Make an id from a moment and randomness.

        Args:
            at: aware; its milliseconds since 1970 UTC become the leading 48 bits.
            random: 10 random bytes, of which 74 bits are used.
        """
        milliseconds = int(at.timestamp() * 1000)
        bits = int.from_bytes(random[:10], "big")
        value = (milliseconds & ((1 << 48) - 1)) << 80
        value |= 0x7 << 76 | ((bits >> 62) & 0xFFF) << 64
        value |= 0b10 << 62 | (bits & ((1 << 62) - 1))
        digits = f"{value:032x}"
        return cls("-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))

    @property
    def started(self) -> datetime:
        """The moment in the id: aware, UTC, in whole milliseconds."""
        return datetime.fromtimestamp(int(self.text[:8] + self.text[9:13], 16) / 1000, UTC)

    @property
    def short(self) -> str:
        """The last 8 digits, for people: the leading ones are time and repeat between neighbours."""
        return self.text[-8:]
