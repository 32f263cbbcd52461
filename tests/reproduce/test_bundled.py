"""Runs from bundles, executed again where nobody knows their project; and what the command says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.project.export import export
from tests.processes import MARK
from tests.reproduce.conftest import TOKEN, Place

pytestmark = pytest.mark.kernel

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(place: Place, tmp_path: Path) -> Command:
    """`nbprod …` on a machine that has seen nothing yet."""
    other = tmp_path / "other"
    other.mkdir()
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("XDG_", "NBPROD_", "PYTEST_"))}
    environ = {**kept, "HOME": str(other), MARK: place.project.environ[MARK], "NO_COLOR": "1"}

    def run(*words: str, cwd: Path = other) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).with_name("nbprod"))
        return subprocess.run(
            [program, *words], cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def test_a_bundle_is_executed_again_with_what_it_used(place: Place, command: Command, tmp_path: Path) -> None:
    bundle = tmp_path / "next.nbprod.zip"
    export(place.project, place.run("next"), bundle, upstream=True)
    (tmp_path / "copy").rename(tmp_path / "gone")
    done = command("reproduce", str(bundle), "--upstream", "--home", "taker")
    (tmp_path / "gone").rename(tmp_path / "copy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("L3: ") == 2
    assert f"run {place.runs['work']} executed again as run " in done.stdout
    assert "equal after normalising  (memory addresses)" in done.stdout
    assert "the first run is verified" in done.stdout
    shown = command("show", "next@latest", cwd=tmp_path / "other" / "taker")
    assert f"run {place.runs['next']}: L3" in shown.stdout, shown.stderr
    assert TOKEN not in done.stdout


def test_less_than_was_asked_for_has_an_exit_code_of_its_own(place: Place, command: Command) -> None:
    done = command("reproduce", place.runs["volatile"], cwd=place.root)
    assert done.returncode == 23, done.stderr
    assert "L0: " in done.stdout
    assert "no more, because: scrap drawn" in done.stdout
    assert "Asked for was L3." in done.stdout
    refused = command("reproduce", place.runs["secretive"], "--level", "0", cwd=place.root)
    assert refused.returncode == 2
    assert "secret NBPROD_TEST_TOKEN (env:NBPROD_TEST_TOKEN): the variable is not set" in refused.stderr
    wrong = command("reproduce", place.runs["volatile"], "--home", "x", cwd=place.root)
    assert wrong.returncode == 2


def test_a_run_that_was_executed_again_is_exported_with_what_is_stated_of_it(place: Place, command: Command) -> None:
    again = command("reproduce", place.runs["volatile"], "--level", "0", cwd=place.root)
    assert again.returncode == 0, again.stderr
    made = command("export", place.runs["volatile"], "-o", "again.nbprod.zip", cwd=place.root)
    assert made.returncode == 0, made.stderr
    checked = command("verify", "again.nbprod.zip", cwd=place.root)
    assert checked.returncode == 0, checked.stdout
    assert "has executed run" in checked.stdout
