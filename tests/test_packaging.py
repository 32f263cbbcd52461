"""pyproject.toml, requirements.lock and environment.yml say the same, and name no place on the network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
CONDA = (ROOT / "environment.yml").read_text("utf-8")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


environment_yml = load(ROOT / "scripts" / "environment_yml.py")


def direct() -> list[Requirement]:
    """Return what pyproject.toml asks for by name: dependencies, extras, the dev group, the build."""
    tables = tomllib.loads(PYPROJECT)
    project = tables["project"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    texts = [
        *project["dependencies"],
        *extras,
        *tables["dependency-groups"]["dev"],
        *tables["build-system"]["requires"],
    ]
    return [Requirement(text) for text in texts]


def blocks(lock: str) -> list[str]:
    """Return the lock's requirements, each with its hashes."""
    return re.findall(r"^[a-z0-9].*(?:\n    --hash=.*)*", lock, re.MULTILINE)


def names_a_place(text: str) -> bool:
    """Whether there is a URL, a path or an option that leads to an index."""
    return bool(re.search(r"://|^-|^\s*--(?!hash=sha256:)|(?:^|[\s@])[./~]+/", text, re.MULTILINE))


# --- the lock -----------------------------------------------------------------------------------


@pytest.mark.parametrize("requirement", direct(), ids=lambda requirement: requirement.name)
def test_the_lock_holds_what_pyproject_asks_for(requirement: Requirement) -> None:
    versions = re.findall(rf"^{canonicalize_name(requirement.name)}==([^\s;]+)", LOCK, re.MULTILINE)
    assert versions
    assert [version for version in versions if Version(version) not in requirement.specifier] == []


def test_the_lock_holds_nothing_that_pyproject_no_longer_asks_for() -> None:
    asking = re.compile(
        r"^([a-z0-9-]+)==.*\n(?:    --hash=.*\n)*(?:    #.*\n)*?    #.*nbprod \(pyproject\.toml", re.MULTILINE
    )
    held = set(asking.findall(LOCK))
    assert held
    assert held <= {canonicalize_name(requirement.name) for requirement in direct()}


def test_every_distribution_is_pinned_by_hash() -> None:
    assert len(blocks(LOCK)) > 150
    assert [block for block in blocks(LOCK) if "==" not in block or "--hash=sha256:" not in block] == []


def test_neither_lock_nor_environment_names_a_host_or_a_path() -> None:
    assert not names_a_place(LOCK)
    assert not names_a_place("\n".join(yaml.safe_load(CONDA)["dependencies"][:-1]))


@pytest.mark.parametrize("line", ["--index-url https://example.org/simple", "a @ file:///x", "-f ./wheels", "a @ ../a"])
def test_a_place_would_be_seen(line: str) -> None:
    assert names_a_place(f"{LOCK}\n{line}\n")


# --- environment.yml ----------------------------------------------------------------------------


def test_environment_yml_is_what_pyproject_and_the_lock_make_it() -> None:
    assert environment_yml.render(PYPROJECT, LOCK) == CONDA


def test_environment_yml_follows_pyproject_and_the_lock() -> None:
    assert environment_yml.render(PYPROJECT.replace("nbformat>=5.10", "nbformat>=5.11"), LOCK) != CONDA
    assert environment_yml.render(PYPROJECT, re.sub(r"^pandas==3", "pandas==4", LOCK, flags=re.MULTILINE)) != CONDA
    with pytest.raises(KeyError):
        environment_yml.render(PYPROJECT.replace('"six>=1.16"', '"never-heard-of"'), LOCK)


def conda_lines() -> list[str]:
    return [line for line in yaml.safe_load(CONDA)["dependencies"] if isinstance(line, str)]


@pytest.mark.parametrize("line", conda_lines())
def test_each_conda_line_is_a_strict_match_spec(line: str) -> None:
    assert MatchSpec(line, strict=True).name is not None


@pytest.mark.parametrize("line", ["papermill=>2.7", "papermill >=2.7..", "a b c d"])
def test_a_wrong_conda_line_would_be_seen(line: str) -> None:
    with pytest.raises(InvalidMatchSpecError):
        MatchSpec(line, strict=True)


def test_the_pip_part_is_pinned_and_ends_in_the_project() -> None:
    *pinned, project = yaml.safe_load(CONDA)["dependencies"][-1]["pip"]
    assert [line for line in pinned if line not in re.findall(r"^[a-z0-9-]+==[^\s;]+", LOCK, re.MULTILINE)] == []
    assert project == "--editable ."


# --- make and CI --------------------------------------------------------------------------------


def make(target: str) -> str:
    """Return what make would do; these tests may run under a make, whose flags are not to be handed down."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=30).stdout


def test_check_is_lint_and_test() -> None:
    made = make("check")
    assert [
        tool for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest") if tool not in made
    ] == []


def test_ci_runs_make_check_and_nothing_else() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines() if line.strip()]
    assert commands == ["#!/usr/bin/env bash", "set -eu", 'cd "$(dirname "$0")/.."', "make check"]


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "torture", "lock", "lowest"])
def test_every_target_sets_up_first(target: str) -> None:
    assert make(target).startswith("scripts/set_up.sh")


def test_set_up_refuses_a_python_out_of_range(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "set_up.sh").write_bytes((ROOT / "scripts" / "set_up.sh").read_bytes())
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["bash", str(scripts / "set_up.sh")],
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(old)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "Expected: Python 3.11, 3.12 or 3.13" in done.stderr
    assert "Found: Python 3.9.1" in done.stderr
    assert not (tmp_path / ".venv").exists()
