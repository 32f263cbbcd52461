"""Where a project begins, and what its settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.errors import CallerError, NotFound, SettingsError
from nbprod.project import Project, RunOptions
from nbprod.project.settings import Settings, find_root, read_settings
from nbprod.record.review import Wanted


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "notebooks" / "deep"
    folder.mkdir(parents=True)
    return folder


def test_the_root_is_where_a_table_says_so(deep: Path, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    (tmp_path / "project" / "pyproject.toml").write_text("[tool.other]\n")
    assert find_root(deep) == tmp_path


def test_the_nearest_table_or_home_wins(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod]\n")
    (tmp_path / "project" / ".nbprod").mkdir()
    assert find_root(deep) == tmp_path / "project"


def test_a_repository_is_a_root_where_nothing_else_is(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "project" / ".git").write_text("gitdir: elsewhere\n")  # a worktree's
    assert find_root(deep) == tmp_path / "project"


def test_else_the_folder_itself(deep: Path) -> None:
    assert find_root(deep) == deep


def test_settings(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nbprod]\nhome = "kept"\nstore = "s3://bucket"\nledger = "l.db"\n'
        '[tool.nbprod.steps.train]\nnotebook = "n/train.ipynb"\ntimeout = 5\n'
    )
    settings = read_settings(tmp_path, {})
    assert (settings.home, settings.store, settings.ledger) == ("kept", "s3://bucket", "l.db")
    assert settings.steps["train"].timeout == 5
    environ = {"NBPROD_HOME": "h", "NBPROD_STORE": "s", "NBPROD_LEDGER": "l"}
    other = read_settings(tmp_path, environ)
    assert (other.home, other.store, other.ledger) == ("h", "s", "l")
    assert other.steps == settings.steps


def test_no_file_means_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {}) == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tool.nbprod", "cannot be read"),
        ("[tool]\nnbprod = 3", r"\[tool.nbprod\] is wrong"),
        ("[tool.nbprod]\nstpes = {}", "Did you mean 'steps'"),
        ("[tool.nbprod]\nhome = 3", "home is wrong"),
        ('[tool.nbprod]\nhome = ""', "home is wrong"),
        ("[tool.nbprod]\nsteps = 3", "a table per step"),
        ("[tool.nbprod.steps]\ntrain = 3", r"\[tool.nbprod.steps.train\] is wrong"),
        ("[tool.nbprod.steps.train]\ntimeot = 3", "Did you mean 'timeout'"),
        ("[tool.nbprod.kernels]\ndriver = 'lion'", "driver is wrong"),
        ("[tool.nbprod]\naliases = 1", r"aliases\] is wrong"),
        ("[tool.nbprod.aliases.production]\napproval = 1", r"aliases.production\] is wrong.*approval"),
        ("[tool.nbprod.aliases.production]\napprovals = -1", "approvals is wrong"),
        ("[tool.nbprod.aliases.production]\nsign_offs = 'risk'", "sign_offs is wrong"),
        ("[tool.nbprod.aliases.production]\nby_others = 1", "by_others is wrong"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SettingsError, match=told):
        read_settings(tmp_path, {})


def test_steps_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    notebook = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    (tmp_path / "n").mkdir()
    for name in ("train", "a {b} ü"):
        (tmp_path / "n" / f"{name}.ipynb").write_text(notebook)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nbprod.steps.fit]\nnotebook = "n/train.ipynb"\ncwd = "."\n[tool.nbprod.steps.bare]\ntimeout = 1\n'
        '[tool.nbprod.steps.gone]\nnotebook = "n/gone.ipynb"\n'
    )
    project = Project.find(tmp_path / "n", {})
    assert project.root == tmp_path
    by_name, by_path = project.step("fit"), project.step(tmp_path / "n" / "train.ipynb")
    assert (by_name.name, by_path.name) == ("fit", "fit")
    assert by_name.folder == tmp_path
    plain = project.step("n/a {b} ü.ipynb")
    assert (plain.name, plain.folder) == ("a {b} ü", tmp_path / "n")
    with pytest.raises(NotFound, match="fit"):
        project.step("nothing")
    with pytest.raises(NotFound, match="gone"):
        project.step("gone")
    with pytest.raises(CallerError, match="has no notebook"):
        project.step("bare")
    assert not (tmp_path / ".nbprod").exists()


def test_the_driver_is_a_setting_that_a_variable_goes_before(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {}).driver == "lean"
    (tmp_path / "pyproject.toml").write_text("[tool.nbprod.kernels]\ndriver = 'nbclient'")
    assert read_settings(tmp_path, {}).driver == "nbclient"
    assert read_settings(tmp_path, {"NBPROD_DRIVER": "lean"}).driver == "lean"
    with pytest.raises(SettingsError, match="driver is wrong"):
        read_settings(tmp_path, {"NBPROD_DRIVER": "lion"})


def test_a_driver_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    project = Project.find(tmp_path, {})
    step = project.step(tmp_path / "a.ipynb")
    assert project.job(step, {}, RunOptions(driver="nbclient")).driver == "nbclient"
    with pytest.raises(CallerError, match="no such driver"):
        project.job(step, {}, RunOptions(driver="lion"))


def test_what_an_alias_asks_for(tmp_path: Path) -> None:
    shadow = "approvals = 0\nsign_offs = ['risk', 'risk']\nby_others = false"
    text = f"[tool.nbprod.aliases.production]\n[tool.nbprod.aliases.shadow]\n{shadow}"
    (tmp_path / "pyproject.toml").write_text(text)
    found = read_settings(tmp_path, {}).aliases
    assert found == {
        "production": Wanted(approvals=1, by_others=True),
        "shadow": Wanted(approvals=0, sign_offs=("risk",)),
    }
    assert read_settings(tmp_path / "none", {}).aliases == {}
