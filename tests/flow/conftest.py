"""A project with small notebooks."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest


def cell(source: str, *tags: str) -> dict:
    """Return a code cell."""
    return {
        "cell_type": "code",
        "id": f"c{abs(hash(source)) % 10**8}",
        "source": source,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "execution_count": None,
    }


Write = Callable[[str, str, Sequence[str]], Path]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project's root."""
    from nbprod.flow.call import project_at

    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.nbprod]\n", encoding="utf-8")
    yield root
    project_at(root).close()
    gc.collect()  # what Prefect's clients leave open is told here, where it is let pass, and not in another's test


@pytest.fixture
def write(project: Path) -> Write:
    """Write a notebook: its name, its parameters cell, its other cells."""

    def write_notebook(name: str, parameters: str, cells: Sequence[str]) -> Path:
        path = project / "notebooks" / f"{name}.ipynb"
        content = {
            "cells": [cell(parameters, "parameters"), *(cell(source) for source in cells)],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write_notebook
