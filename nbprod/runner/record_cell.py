"""The executed notebook's first cell: the record for a person, in Markdown that any renderer shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nbprod.digest import Json
from nbprod.record.request import Input, RunRequest
from nbprod.record.run_record import Artifact
from nbprod.record.status import CellStatus, Status
from nbprod.record.trace import Trace
from nbprod.record.verdict import Verdict
from nbprod.runner.order import OUTPUT_DIR
from nbprod.runner.started import Started
from nbprod.scraps import Scrap

__all__ = ["origin", "record_cell", "shown"]

_SIGNS = {Status.SUCCEEDED: "✔", Status.CACHED: "✔"}
_LONGEST = 100
_LEVELS = 20
"""Levels of nesting that are shown of a value."""
_READS_SHOWN = 20


def record_cell(
    started: Started,
    verdict: Verdict,
    scraps: Sequence[Scrap],
    artifacts: Sequence[Artifact],
    seconds: float,
    *,
    trace: Trace,
) -> str:
    """Return the Markdown of the `nbprod-record` cell.

    It holds the run's id but never the record's own digest, which depends on this cell.
    """
    request = started.request
    parts = [
        f"## {_SIGNS.get(verdict.status, '❌')} {_text(request.step)}: {verdict.status}",
        _text(_flat(verdict.reason)),
        _table(("", ""), _summary(started, verdict, seconds)),
    ]
    rows = [(name, shown(value), origin(name, request)) for name, value in _parameters(started)]
    parts += _section("Parameters", ("name", "value", ""), rows)
    inputs = [
        (entry.name, _where(entry), "" if entry.digest is None else entry.digest.short, _size(entry.size), entry.note)
        for entry in request.inputs
    ]
    parts += _section("Inputs", ("parameter", "what", "SHA-256", "size", "note"), inputs)
    glued = [(scrap.name, _scrap_value(scrap), f"{scrap.cell}") for scrap in scraps]
    parts += _section("Scraps", ("name", "value", "cell"), glued)
    files = [(entry.name, entry.digest.short, _size(entry.size)) for entry in artifacts]
    parts += _section("Artifacts", ("file", "SHA-256", "size"), files)
    parts += _touched(trace)
    lines = [(line.text, "met" if line.met else "**not met**", line.found) for line in verdict.contract]
    parts += _section("Contract", ("required", "", "found"), lines)
    parts += [f"> {_text(_flat(note))}" for note in started.notes]
    parts.append(
        "<sub>Written by nbprod. This notebook is evidence; the verdict stands in the run's record: "
        f"`nbprod show {started.run_id}`.</sub>"
    )
    return "\n\n".join(parts)


def _touched(trace: Trace) -> list[str]:
    """Return what the run read beside its inputs, whom it contacted and what it started."""
    if not trace.on:
        return [f"**What it read**\n\nNot observed: {_text(_flat(trace.why_off))}."]
    files = [*trace.reads, *trace.modules]
    rows = [
        (_path(f.path), "" if f.digest is None else f.digest.short, _size(f.size), f.note) for f in files[:_READS_SHOWN]
    ]
    parts = _section("What it read", ("file", "SHA-256", "size", "note"), rows)
    if len(files) > len(rows):
        parts.append(f"… and {len(files) - len(rows):,} more")
    told = {
        "Contacted": [str(contact) for contact in trace.hosts],
        "Started, and nobody observed": [entry.program for entry in trace.subprocesses if not entry.observed],
        "Not observed in full": list(trace.notes),
    }
    return [*parts, *(f"{what}: {_text(_flat(', '.join(names[:20])))}" for what, names in told.items() if names)]


def _path(text: str) -> str:
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def _where(entry: Input) -> str:
    return entry.path if entry.run is None else f"{entry.path} of run …{entry.run.short}"


def _summary(started: Started, verdict: Verdict, seconds: float) -> list[tuple[str, str]]:
    request = started.request
    ran = sum(cell.status in (CellStatus.OK, CellStatus.FAILED, CellStatus.INTERRUPTED) for cell in verdict.cells)
    left = sum(cell.status is CellStatus.NOT_RUN for cell in verdict.cells)
    cells = f"{ran} of {len(verdict.cells)} code cells ran" + (f", {left} did not" if left else "")
    rows = [
        ("run", f"`{started.run_id}`"),
        ("when", f"{_moment(started.at, started.zone)}, {seconds:.1f} s"),
        ("who", f"{started.user} on {started.host}"),
        ("cells", cells),
        ("notebook", f"{request.notebook} (source {request.source.short})"),
        ("environment", f"{request.environment.short}, kernel {request.kernel}"),
    ]
    if started.git is not None:
        commit = str(started.git.get("commit") or "no commit yet")[:12]
        dirty = ", with uncommitted changes" if started.git.get("dirty") else ""
        rows.append(("git", f"{commit}{dirty}"))
    if started.locks:
        rows.append(("locks", ", ".join(f"{lock.name} ({lock.digest.short})" for lock in started.locks)))
    return rows


def _parameters(started: Started) -> list[tuple[str, Json]]:
    return sorted(started.request.parameters.items(), key=lambda item: item[0] not in started.request.given)


def origin(name: str, request: RunRequest) -> str:
    """Say where a parameter's value comes from: `given` by the caller, the notebook's `default`, or `by nbprod`."""
    if name in request.given:
        return "given"
    return "by nbprod" if name == OUTPUT_DIR else "default"


def shown(value: Json, levels: int = _LEVELS) -> str:
    """Return a tagged value as short text for people.

    Args:
        value: the value.
        levels: how deep lists and objects are shown.
    """
    if not levels:
        return "…"
    if isinstance(value, dict) and "$nbprod" in value:
        inner = value.get("value")
        if value["$nbprod"] == "artifact" and isinstance(inner, dict):
            return f"{inner['name']} of run …{str(inner['run'])[-8:]}"
        if isinstance(inner, dict) and isinstance(inner.get("iso"), str):
            return str(inner["iso"])
        return shown(inner, levels - 1) if not isinstance(inner, str) else inner
    return value if isinstance(value, str) else _plain(value, levels - 1)


def _plain(value: Any, levels: int) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item, levels) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item, levels)}" for key, item in value.items()) + "}"
    return str(value)


def _scrap_value(scrap: Scrap) -> str:
    if scrap.encoder == "display":
        return "(a display, see the cell)"
    if scrap.encoder == "pandas":
        return "(a table, see the cell)"
    return shown(scrap.data)


def _section(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"**{title}**\n\n{_table(head, rows)}"] if rows else []


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(text) for text in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    flat = _flat(text)
    return _text(flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…")


def _flat(text: str) -> str:
    """Put a text on one line: a line of its own could become a heading."""
    return " ".join(text.split())


def _text(text: str) -> str:
    """Escape what a Markdown renderer would take for markup: values come from anywhere (law 10)."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("[", "&#91;"), ("$", "&#36;")):
        text = text.replace(sign, entity)
    return text


def _size(size: int | None) -> str:
    if size is None:
        return ""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:  # noqa: PLR2004 - SI units
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    if name.startswith("UTC") and len(name) == len("UTC+hhmm"):
        sign = -1 if name[3] == "-" else 1
        return timezone(sign * timedelta(hours=int(name[4:6]), minutes=int(name[6:8])), name)
    return None


def _moment(at: datetime, zone: str) -> str:
    utc = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    where = _zone(zone)
    if where is None or zone in ("UTC", "Etc/UTC"):
        return utc
    return f"{utc} ({at.astimezone(where):%Y-%m-%d %H:%M:%S} {zone})"
