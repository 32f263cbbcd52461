"""One of the two runs that are compared: its record, and how its bytes are read."""

from __future__ import annotations

import io
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import BinaryIO

from nbprod.digest import Digest
from nbprod.errors import Erased, NotebookInvalid, NotFound, ScrapError, StoreUnavailable, UnsupportedVersion
from nbprod.parameters.codec import untag
from nbprod.record.run_record import RunRecord

__all__ = ["UNREADABLE", "Own", "Side"]

UNREADABLE = (Erased, NotFound, NotebookInvalid, ScrapError, StoreUnavailable, UnsupportedVersion)
"""Why bytes cannot be looked at while the rest still can be; that they were altered is for nobody to catch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What the texts of one run may tell of itself, and what of them says nothing about its results.

    Args:
        run_id: its id; empty where it has none.
        places: absolute paths that only this run has (its output folder, a copy of the project), and what to call them.
        started: aware; None where it is not known.
        finished: aware; None where it is not known.
        zone: in which times without a zone are told; None: in UTC.
    """

    run_id: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    started: datetime | None = None
    finished: datetime | None = None
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A run to compare.

    Args:
        record: what nbprod states about it.
        read: returns the bytes of a digest; raises Erased, NotFound, IntegrityError or StoreUnavailable.
        stream: opens the bytes of a large artifact, seekable; what `read` returns, where it is None.
        origin: of a run that an earlier one answered, that one's record: its texts are the earlier run's.
        places: further absolute paths that only this run has, and what to call them (see `Own`).
    """

    record: RunRecord
    read: Callable[[Digest], bytes]
    stream: Callable[[Digest], BinaryIO] | None = None
    origin: RunRecord | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    def open(self, digest: Digest) -> BinaryIO:
        """Return the bytes of a digest as a seekable file, to be closed by the caller."""
        return io.BytesIO(self.read(digest)) if self.stream is None else self.stream(digest)

    @property
    def own(self) -> Own:
        """What the run's texts may tell of itself."""
        record = self.record if self.origin is None else self.origin
        given = record.request.parameters.get("output_dir")
        folder = str(untag(given)) if given is not None else ""
        return Own(
            run_id=str(record.run_id),
            places={**self.places, **({folder: "output_dir"} if folder else {})},
            started=record.started,
            finished=record.finished,
            zone=_zone(record.timezone),
        )


def _zone(name: str) -> tzinfo:
    """Return the zone of an IANA name or an offset (`+02:00`); UTC for what is neither."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        pass
    try:
        offset = datetime.strptime(name.removeprefix("UTC"), "%z").utcoffset()
    except ValueError:
        return UTC
    return timezone(offset or timedelta(0))
