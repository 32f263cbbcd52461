"""Values, moments, durations and sizes as people read them in a terminal."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from nbprod.digest import Json
from nbprod.printable import printable as plain_text
from nbprod.record.status import Status

__all__ = ["STYLES", "brief", "duration", "moment", "plain_json", "plain_text", "size", "status_text", "when"]

STYLES = {
    Status.SUCCEEDED: "green",
    Status.CACHED: "green",
    Status.CANCELLED: "yellow",
    Status.EXITED_EARLY: "yellow",
}
_SIGNS = {"green": "✔", "yellow": "■", "red": "✘", "cyan": "▶"}
_TAG = "$nbprod"
_LINE = 60
_THOUSAND = 1000
_MINUTE, _HOUR = 60, 3600


def status_text(status: Status | None) -> str:
    """Return a status with its sign; None is a run that has not ended.

    Returns:
        rich markup.
    """
    if status is None:
        return "[cyan]▶ running[/]"
    style = STYLES.get(status, "red")
    return f"[{style}]{_SIGNS[style]} {status}[/]"


def brief(value: Json, width: int = _LINE) -> str:
    """Return a tagged value in one line of at most `width` characters."""
    text = " ".join(plain_text(_text(value)).split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, dict) and _TAG in value:
        return _tagged(str(value[_TAG]), value.get("value"))
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    return str(value)


def _tagged(tag: str, inner: Any) -> str:
    if tag == "artifact" and isinstance(inner, dict):
        return f"{inner.get('name')} of run {str(inner.get('run'))[-8:]}"
    if isinstance(inner, dict) and isinstance(inner.get("iso"), str):
        return str(inner["iso"])
    return inner if isinstance(inner, str) else _text(inner)


def plain_json(value: Json) -> Json:
    """Return a tagged value as plain JSON for scripts: numbers as numbers, what JSON cannot hold as text.

    The exact form, with types, stands in the record: `nbprod show --json`.
    """
    if isinstance(value, dict) and _TAG in value:
        inner = value.get("value")
        if value[_TAG] == "int" and isinstance(inner, str):
            return int(inner, 0)
        if value[_TAG] == "float" and isinstance(inner, str) and math.isfinite(float(inner)):
            return float(inner)
        return inner["iso"] if isinstance(inner, dict) and "iso" in inner else plain_json(inner)
    if isinstance(value, dict):
        return {key: plain_json(item) for key, item in value.items()}
    return [plain_json(item) for item in value] if isinstance(value, list) else value


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: `0.8 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02} min"


def size(count: int | None) -> str:
    """Return bytes in SI units: `812 B`, `1.2 MB`."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < _THOUSAND:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _THOUSAND
    return f"{amount:.1f} TB"


def moment(at: datetime) -> str:
    """Return a moment in UTC, and in the reader's own zone where that is another."""
    utc = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    local = at.astimezone()
    return utc if local.utcoffset() == timedelta(0) else f"{utc} ({local:%Y-%m-%d %H:%M:%S %Z})"


def when(at: datetime) -> str:
    """Return a moment for a table, in the reader's own zone."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
