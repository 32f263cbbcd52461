"""A finished run as Prefect's pages show it: a page in markdown, and a table of what it glued."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbprod.flow.states import notebook_url
from nbprod.project import Run

__all__ = ["page_of", "scraps_of"]

_CELL_WIDTH = 120


def page_of(run: Run, *, left_out: int = 0) -> str:
    """Return the page: status, artifacts, and where the executed notebook lies.

    Args:
        run: the run.
        left_out: how many of its figures are not shown beside the page.
    """
    url = notebook_url(run)
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
                ("executed notebook", f"[{run.notebook.name}]({url}): `{url}`"),
                ("as a web page", f"`nbprod open {run.id.short}`"),
                ("the record", f"`nbprod show {run.id.short}`"),
            ],
        ),
    ]
    if left_out:
        lines += ["", f"{left_out} more figures are in the executed notebook only: too many, or too big for this page."]
    artifacts = [(entry.name, f"{entry.size:,} bytes") for entry in run.record.artifacts]
    if artifacts:
        lines += ["", "## Artifacts", "", *_table(("name", "size"), artifacts)]
    return "\n".join(lines) + "\n"


def scraps_of(run: Run) -> list[dict[str, Any]]:
    """Return a row per scrap; empty if there are none, displays aside."""
    return [
        {"name": entry.name, "value": _shown(run, entry.name), "type": entry.type, "cell": entry.cell}
        for entry in run.record.scraps
        if entry.encoder != "display"
    ]


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
