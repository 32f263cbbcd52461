"""A finished run as a markdown page for Prefect's pages."""

from __future__ import annotations

from collections.abc import Iterable

from nbprod.project import Run

__all__ = ["page_of"]

_CELL_WIDTH = 120


def page_of(run: Run) -> str:
    """Return the page: status, scraps, artifacts, and where the executed notebook lies."""
    lines = [
        f"# {run.step}: {run.status}",
        "",
        f"{_inline(run.reason)}",
        "",
        *_table(
            ("", ""),
            [
                ("run", f"`{run.id}`"),
                ("started", f"{run.started:%Y-%m-%d %H:%M:%S} UTC"),
                ("seconds", f"{run.seconds:.1f}"),
                ("executed notebook", f"`{run.notebook}`"),
            ],
        ),
    ]
    scraps = [(entry.name, _shown(run, entry.name)) for entry in run.record.scraps if entry.encoder != "display"]
    if scraps:
        lines += ["", "## Scraps", "", *_table(("name", "value"), scraps)]
    artifacts = [(entry.name, f"{entry.size:,} bytes") for entry in run.record.artifacts]
    if artifacts:
        lines += ["", "## Artifacts", "", *_table(("name", "size"), artifacts)]
    return "\n".join(lines) + "\n"


def _shown(run: Run, name: str) -> str:
    entry = next(entry for entry in run.record.scraps if entry.name == name)
    if entry.payload is None or entry.encoder == "pandas":
        return f"{entry.type}, {entry.size:,} bytes"
    text = str(run.scraps[name])
    return text if len(text) <= _CELL_WIDTH else f"{text[: _CELL_WIDTH - 1]}…"


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"| {head[0]} | {head[1]} |", "|:--|:--|", *(f"| {_inline(a)} | {_inline(b)} |" for a, b in rows)]


def _inline(text: str) -> str:
    """Return a text that cannot break out of a table's cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
