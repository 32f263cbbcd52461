"""The figures of an executed notebook as `data:` URLs, which is how Prefect can show what lies in our store."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nbprod.project import Run

__all__ = ["FIGURES_LIMIT", "FIGURE_LIMIT", "Figure", "Figures", "figures_of"]

FIGURE_LIMIT = 256 * 1024
"""Bytes of a figure that is shown; Prefect keeps the URL in its database."""
FIGURES_LIMIT = 10
"""Figures per run that are shown."""
_KINDS = ("image/png", "image/jpeg", "image/svg+xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure.

    Args:
        url: the whole image, as a `data:` URL.
        size: bytes of the image.
    """

    url: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What can be shown of a run's figures.

    Args:
        shown: those within the limits, in the notebook's order.
        left_out: how many are not.
    """

    shown: tuple[Figure, ...]
    left_out: int


def figures_of(run: Run) -> Figures:
    """Return a run's figures, as its executed notebook in the store has them.

    Raises:
        IntegrityError: the stored notebook is not there, or not what the record says.
    """
    found = list(_figures(json.loads(run.home.read(run.record.notebook.digest))))
    shown = tuple(figure for figure in found if figure.size <= FIGURE_LIMIT)[:FIGURES_LIMIT]
    return Figures(shown=shown, left_out=len(found) - len(shown))


def _figures(notebook: Any) -> Iterator[Figure]:
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            kind = next((kind for kind in _KINDS if kind in data), None)
            if kind is not None:
                yield _figure(kind, data[kind])


def _figure(kind: str, data: str | list[str]) -> Figure:
    text = data if isinstance(data, str) else "".join(data)
    if kind == "image/svg+xml":  # as the source of an image, a browser runs no script in it
        text = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    encoded = "".join(text.split())
    return Figure(url=f"data:{kind};base64,{encoded}", size=len(encoded) * 3 // 4)
