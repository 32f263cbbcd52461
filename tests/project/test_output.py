"""OUTPUT is papermill's template; a notebook's own path never is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import CallerError
from nbprod.project.output import output_path

AT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def fill(template: str, **values: Any) -> Path:
    return output_path(template, values, at=AT, run_uuid="abc")


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("out.ipynb", "out.ipynb"),
        ("out/{carrier}/{alpha:.2f}.ipynb", "out/UA/0.10.ipynb"),
        ("{{carrier}}.ipynb", "{carrier}.ipynb"),
        ("{day:%Y%m%d}.ipynb", "20260506.ipynb"),
        ("{pm[current_datetime_utc]:%Y-%m-%d}-{pm[run_uuid]}.ipynb", "2026-05-06-abc.ipynb"),
        ("{carrier!r}.ipynb", "'UA'.ipynb"),
    ],
)
def test_templates(template: str, path: str) -> None:
    assert fill(template, carrier="UA", alpha=0.1, day=AT) == Path(path)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{nothing}.ipynb", "no parameter"),
        ("{}.ipynb", "no parameter"),
        ("{carrier.__class__}.ipynb", "no parameter"),
        ("{carrier[0]}.ipynb", "no parameter"),
        ("{carrier", "not a template"),
        ("a}b", "not a template"),
        ("{up}/x.ipynb", "one part of a path"),
        ("{slash}.ipynb", "one part of a path"),
        ("{nul}.ipynb", "one part of a path"),
    ],
)
def test_refused(template: str, told: str) -> None:
    with pytest.raises(CallerError, match=told):
        fill(template, carrier="UA", up="..", slash="../../etc/x", nul="a\0b")
