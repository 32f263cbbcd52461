"""A sweep's settings and results as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli.screen import print_rows, text
from nbprod.cli.summary import run_json, scrap_text
from nbprod.cli.values import brief, duration, plain_json, plain_text, status_text
from nbprod.project.sweep import varying

if TYPE_CHECKING:
    from nbprod.digest import Json
    from nbprod.project.swept import Point

__all__ = ["point_json", "point_status", "setting_text", "short_reason", "show_points", "shown_names", "sweep_csv"]

_WIDTH = 24
"""Characters of a value in a table."""
_MOST = 100
"""Settings in a table for people: more are for programs."""
_WAITING = 10
"""Settings that were not started, of those in a table with others."""
_OWN = ("status", "took", "run", "reason")


def point_status(point: Point) -> str:
    """Return how a setting stands, with its sign; rich markup."""
    if point.run is not None:
        return status_text(point.run.status)
    if point.state == "running":
        return status_text(None)
    return "[red]✘ refused[/]" if point.state == "refused" else "[dim]· not started[/]"


def setting_text(values: Mapping[str, Json], names: Iterable[str]) -> str:
    """Return a setting in one line: `alpha=0.1 seed=3`."""
    return " ".join(f"{name}={brief(values[name], _WIDTH)}" for name in names if name in values)


def short_reason(point: Point) -> str:
    """Return what there is to say of a setting, in one line."""
    if point.kept:
        return "from before, by another version of the notebook" if point.older else "from before"
    return "" if point else " ".join(plain_text(point.reason).split())


def shown_names(points: Sequence[Point]) -> tuple[str, ...]:
    """Return the parameters that a table needs: those that vary; where none does, all that were given."""
    names = varying([point.values for point in points])
    return names or tuple(dict.fromkeys(name for point in points for name in point.values))


def show_points(points: Sequence[Point], *, started: bool = True) -> None:
    """Print the table of the settings to stdout, and what is the same in all of them.

    Args:
        points: all settings; where there are very many, only some are shown: those without a good run first.
        started: whether there is anything to tell but the settings themselves.
    """
    names = shown_names(points)
    heads = [f"{name} (parameter)" if name in _OWN else name for name in names]
    shown = _chosen(points, most_waiting=_WAITING if started else _MOST)
    scraps = [{entry.name: scrap_text(entry, _WIDTH) for entry in _entries(point)} for point in shown]
    glued = list(dict.fromkeys(name for row in scraps for name in row))
    columns = [f"{name} (scrap)" if name in (*heads, *_OWN) else name for name in glued]
    rows = []
    for point, values in zip(shown, scraps, strict=True):
        cells = [text(brief(point.values[name], _WIDTH)) if name in point.values else "" for name in names]
        if started:
            cells += [point_status(point), "" if point.run is None else duration(point.run.seconds)]
            cells += [text(values.get(name, "")) for name in glued]
            cells += [f"[cyan]{point.run_id.short}[/]" if point.run_id is not None else ""]
            cells += [f"[dim]{text(short_reason(point))}[/]" if short_reason(point) else ""]
        rows.append(tuple(cells))
    if not started and not names:
        return  # one run, with nothing but defaults
    ours = ("status", "took", *columns, "run", "reason") if started else ()
    print_rows((*heads, *ours), rows, yielding=("reason", *reversed(columns)) if started else ())
    same = {name: value for name, value in points[0].values.items() if name not in names}
    if same:
        click.echo(f"the same in all: {setting_text(same, same)}")
    if len(shown) < len(points):
        left = f"{len(points) - len(shown):,} more settings"
        numbers = {point.number for point in shown}
        waiting = started and all(point.state == "not_started" for point in points if point.number not in numbers)
        click.echo(f"{left}{' that were not started' if waiting else ''}: see --csv FILE or --json.", err=True)


def _chosen(points: Sequence[Point], *, most_waiting: int) -> list[Point]:
    """Return the settings that a table for people shows, those that ended badly before all."""
    waiting = [point for point in points if point.state == "not_started"][:most_waiting]
    others = sorted((point for point in points if point.state != "not_started"), key=bool)
    return sorted((*others, *waiting)[:_MOST], key=lambda point: point.number)


def _entries(point: Point) -> tuple[Any, ...]:
    return () if point.run is None else point.run.record.scraps


def point_json(point: Point) -> dict[str, Any]:
    """Return a setting and its run as JSON, values as plain JSON; what there is none of is null."""
    said = {
        "number": point.number,
        "setting": plain_json(dict(point.values)),
        "status": point.state,
        "reason": point.reason,
        "kept": point.kept,
    }
    run = {} if point.run is None else run_json(point.run)
    nothing = dict.fromkeys(("started", "seconds", "scraps"))
    return {"run": None if point.run_id is None else str(point.run_id), **nothing, **run, **said}


def sweep_csv(points: Sequence[Point]) -> str:
    """Return the table as CSV: run, status, reason, started, seconds, then `params.NAME` and `scraps.NAME`."""
    rows = [(point, _scrap_values(point)) for point in points]
    parameters = list(dict.fromkeys(name for point in points for name in point.values))
    scraps = list(dict.fromkeys(name for _, values in rows for name in values))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    own = ["run", "status", "reason", "started", "seconds"]
    writer.writerow([*own, *(f"params.{name}" for name in parameters), *(f"scraps.{name}" for name in scraps)])
    for point, values in rows:
        run = point.run
        cells: list[Any] = [point.run_id or "", point.state, point.reason]
        cells += ["", ""] if run is None else [run.started.isoformat(), run.seconds]
        cells += [_plain(point.values[name]) if name in point.values else "" for name in parameters]
        writer.writerow([*cells, *(values.get(name, "") for name in scraps)])
    return file.getvalue()


def _scrap_values(point: Point) -> dict[str, Any]:
    return {entry.name: _plain(entry.payload["data"]) for entry in _entries(point) if entry.payload is not None}


def _plain(value: Json) -> Any:
    plain = plain_json(value)
    return plain if isinstance(plain, str | int | float) else json.dumps(plain, ensure_ascii=False)
