"""OUTPUT is papermill's template; a notebook's own path never is."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import CallerError
from nbprod.project import Project, RunOptions
from nbprod.project.order import order
from nbprod.project.output import output_path
from tests.notebooks import write

AT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def fill(template: str, **values: Any) -> str:
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
        ("s3://bucket/{carrier}/{day:%d}.ipynb", "s3://bucket/UA/06.ipynb"),
    ],
)
def test_templates(template: str, path: str) -> None:
    assert fill(template, carrier="UA", alpha=0.1, day=AT) == path


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


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\nledger = 'kept/events.db'\n")
    write(tmp_path / "source.ipynb", "1")
    write(tmp_path / "other.ipynb", "2")
    os.link(tmp_path / "source.ipynb", tmp_path / "same.ipynb")
    for folder in (".nbprod/store", "kept", "folder"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".nbprod/note").write_bytes(b"")
    (tmp_path / "way in").symlink_to(".nbprod/store")
    (tmp_path / "data.csv").write_text("a,b")
    (tmp_path / "broken.ipynb").write_text("[")
    os.mkfifo(tmp_path / "pipe")
    return Project.find(tmp_path)


def asked(project: Project, output: str, *, by: str) -> Path | str | None:
    """Order a run as the command line does, or as Python does, and return where its notebook will go."""
    step = project.step(project.root / "source.ipynb")
    path = project.root / output
    if by == "template":
        return order(project, step, {}, RunOptions(), output=str(path).replace("{", "{{").replace("}", "}}")).output
    return project.job(step, {}, RunOptions(output=path)).output


@pytest.mark.parametrize("by", ["template", "path"])
@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("source.ipynb", "is the notebook itself"),
        ("same.ipynb", "is the notebook itself"),
        ("other.ipynb", "a notebook that is no run's output.*remove it first"),
        ("broken.ipynb", "is there already"),
        ("data.csv", "another file.*remove it first"),
        ("folder", "is a folder"),
        ("pipe", "is a device, pipe or socket"),
        (".nbprod/ledger.db", "lies where nbprod keeps its runs"),
        (".nbprod/note", "lies where nbprod keeps its runs"),
        ("folder/../.nbprod/new.ipynb", "lies where nbprod keeps its runs"),
        ("way in/new.ipynb", "lies where nbprod keeps its runs"),
        ("kept/events.db", "lies where nbprod keeps its runs"),
        ("kept/events.db-wal", "lies where nbprod keeps its runs"),
    ],
)
def test_nothing_is_overwritten_that_no_run_could_bring_back(project: Project, output: str, told: str, by: str) -> None:
    with pytest.raises(CallerError, match=told):
        asked(project, output, by=by)


@pytest.mark.parametrize("by", ["template", "path"])
@pytest.mark.parametrize("output", ["new.ipynb", "executed.ipynb", "empty", "kept/new.ipynb", "dangling"])
def test_executed_notebooks_and_empty_files_are_overwritten(project: Project, output: str, by: str) -> None:
    (project.root / "executed.ipynb").write_text('{"cells": [], "metadata": {"papermill": {}}}')
    (project.root / "empty").write_bytes(b"")
    (project.root / "dangling").symlink_to("nowhere.ipynb")
    assert asked(project, output, by=by) == project.root / output
