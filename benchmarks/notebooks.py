"""The notebooks that both tools execute: plain nbformat 4.5 documents, made here so that nothing is hidden in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["WORKLOADS", "Workload", "script_of", "write"]

PARAMETERS = "alpha: float = 0.1  # changes nothing\n"

SCIENCE = (
    """\
import pandas as pd
import scrapbook as sb
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score""",
    """\
features, target = make_classification(n_samples=5_000, n_features=20, random_state=0)
table = pd.DataFrame(features).assign(target=target)
table.describe()""",
    """\
model = LogisticRegression(C=1 / alpha, max_iter=200).fit(features[:4_000], target[:4_000])
auc = roc_auc_score(target[4_000:], model.predict_proba(features[4_000:])[:, 1])
print(f"auc {auc:.3f}")""",
    """\
sb.glue("auc", float(auc))
sb.glue("coefficients", model.coef_[0].tolist())
sb.glue("means", table.groupby("target").mean().reset_index().rename(columns=str), encoder="pandas")""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A notebook to measure with.

    Args:
        name: what the table calls it.
        about: one line for people.
        cells: the code cells' sources, after the parameters cell.
        target: how many times as fast as papermill nbprod is to be at least; None where nothing is promised.
        aim: how many times as fast we want it to be.
    """

    name: str
    about: str
    cells: tuple[str, ...]
    target: float | None = None
    aim: float | None = None


def _workloads() -> dict[str, Workload]:
    megabyte = "print('x' * 99 + '\\n', end='')\n"
    loud = f"for _ in range(10_000):\n    {megabyte}"
    several = [
        Workload(name="trivial", about="one cell that adds two numbers", cells=("1 + 1",), target=8.0, aim=20.0),
        Workload(
            name="cells",
            about="200 tiny cells",
            cells=tuple(f"x{number} = {number}" for number in range(200)),
            target=15.0,
            aim=40.0,
        ),
        Workload(name="megabytes", about="20 cells, each 1 MB of output", cells=(loud,) * 20, target=7.0, aim=12.0),
        Workload(
            name="lines",
            about="10,000 printed lines",
            cells=("for n in range(10_000):\n    print(n)",),
            target=3.0,
            aim=7.0,
        ),
        Workload(
            name="flushed",
            about="10,000 printed lines, a message each",
            cells=("for n in range(10_000):\n    print(n, flush=True)",),
        ),
        Workload(name="science", about="pandas, scikit-learn, three scraps", cells=SCIENCE, target=8.0, aim=12.0),
    ]
    return {workload.name: workload for workload in several}


WORKLOADS: Mapping[str, Workload] = _workloads()


def _cell(number: int, source: str, tags: list[str]) -> dict[str, Any]:
    return {
        "id": f"cell-{number}",
        "cell_type": "code",
        "metadata": {"tags": tags} if tags else {},
        "source": source,
        "execution_count": None,
        "outputs": [],
    }


def write(workload: Workload, folder: Path) -> Path:
    """Write the workload's notebook into a folder and return its path."""
    cells = [_cell(0, PARAMETERS, ["parameters"])]
    cells += [_cell(number, source, []) for number, source in enumerate(workload.cells, start=1)]
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = folder / f"{workload.name}.ipynb"
    path.write_text(json.dumps(notebook, indent=1), "utf-8")
    return path


def script_of(workload: Workload) -> str:
    """Return the workload's cells as one script: the floor, without a kernel, outputs or a record."""
    return "\n".join((PARAMETERS, *workload.cells)) + "\n"
