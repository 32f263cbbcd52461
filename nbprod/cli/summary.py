"""A finished run in a few lines, and as one JSON object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from nbprod.cli.screen import text
from nbprod.cli.values import brief, duration, plain_json, plain_text, size, status_text
from nbprod.store.elsewhere import shown_url

if TYPE_CHECKING:
    from nbprod.project import Run

__all__ = ["changed_since", "near", "run_json", "scrap_text", "show_summary"]

_MOST = 8


def run_json(run: Run) -> dict[str, Any]:
    """Return a run as JSON, values as plain JSON; the whole statement is in `nbprod show --json`."""
    record = run.record
    return {
        "run": str(run.id),
        "step": run.step,
        "status": str(run.status),
        "reason": run.reason,
        "started": record.started.isoformat(),
        "finished": record.finished.isoformat(),
        "seconds": record.seconds,
        "parameters": plain_json(record.request.parameters),
        "scraps": {
            entry.name: plain_json(entry.payload["data"]) for entry in record.scraps if entry.payload is not None
        },
        "artifacts": [{"name": each.name, "digest": str(each.digest), "size": each.size} for each in record.artifacts],
        "notebook": str(run.notebook),
    }


def show_summary(console: Console, run: Run, *, also: Path | str | None = None) -> None:
    """Show how a run ended and what it left.

    Args:
        console: where.
        run: the run.
        also: where the executed notebook was written as well.
    """
    record = run.record
    console.print(
        f"{status_text(run.status)}  [bold]{text(run.step)}[/]  {duration(run.seconds)}  "
        f"[dim]{text(plain_text(run.reason))}[/]"
        if run
        else f"{status_text(run.status)}  [bold]{text(run.step)}[/]  {duration(run.seconds)}"
    )
    if not run:
        console.print(f"  reason     {text(plain_text(run.reason))}")
    if record.scraps:
        shown = [f"{entry.name} {scrap_text(entry)}" for entry in record.scraps]
        console.print(f"  scraps     {text(_some(shown))}")
    if record.artifacts:
        shown = [f"{entry.name} ({size(entry.size)})" for entry in record.artifacts]
        console.print(f"  artifacts  {text(_some(shown))}")
    for note in record.notes:
        console.print(f"  note       {text(plain_text(note))}")
    console.print(f"  notebook   {text(near(also or run.notebook))}")
    console.print(f"  run        {run.id.short}  [dim]nbprod show {run.id.short}[/]")


def scrap_text(entry: Any, width: int = 40) -> str:
    """Return a scrap's value in one line."""
    if entry.encoder in ("display", "pandas"):
        return f"({'a table' if entry.encoder == 'pandas' else 'a display'}, {size(entry.size)})"
    if entry.payload is None:
        return f"({entry.type}, {size(entry.size)})"
    return brief(entry.payload["data"], width)


def near(path: Path | str) -> str:
    """Return a path relative to the current folder if it lies below it, and an address without its credentials."""
    if isinstance(path, str):
        return shown_url(path)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def changed_since(run: Run) -> str | None:
    """Return a line about the executed notebook if somebody has changed the file in the run's folder."""
    changed = run.changed_notebook
    if changed is None:
        return None
    return f"the file in {near(changed.parent)} was changed since; {near(run.notebook)} is the recorded one"


def _some(shown: list[str]) -> str:
    rest = len(shown) - _MOST
    return " · ".join(shown[:_MOST]) + (f" · and {rest} more" if rest > 0 else "")
