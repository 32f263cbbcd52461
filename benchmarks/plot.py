"""The results as a picture for the docs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Result

__all__ = ["plot"]

_GREY, _BLUE = "#9aa5b1", "#1f6feb"


def plot(results: Sequence[Result], path: Path) -> None:
    """Draw the seconds of papermill and nbprod on each notebook, with how many times as fast nbprod was.

    Args:
        results: one per workload.
        path: where to write the PNG.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only here

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    shown = [result for result in results if result.seconds["papermill"].median and result.seconds["nbprod"].median]
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.75 * len(shown)), layout="constrained")
    for place, result in enumerate(reversed(shown)):
        theirs, ours = (result.seconds[name].median or 0.0 for name in ("papermill", "nbprod"))
        axes.barh(place + 0.2, theirs, 0.36, color=_GREY, label="papermill" if not place else None)
        axes.barh(place - 0.2, ours, 0.36, color=_BLUE, label="nbprod" if not place else None)
        axes.text(theirs * 1.06, place + 0.2, f"{theirs:.2f} s", va="center", fontsize=9)
        axes.text(
            ours * 1.06,
            place - 0.2,
            f"{ours:.2f} s  ({result.speedup.median:.1f} times as fast)",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(shown)), [result.workload.about for result in reversed(shown)])
    axes.set_xscale("log")
    axes.margins(x=0.18)
    axes.set_xlabel("seconds for one run in a warm process, median (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
