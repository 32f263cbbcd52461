"""Runs from bundles, executed again where nobody knows their project; and what the command says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from nbprod.cli.app import nbprod as application
from nbprod.cli.reproduced import show_reproduction
from nbprod.project.reproduce import Reproduction
from nbprod.record.ids import RunId
from tests.processes import MARK
from tests.reproduce.conftest import TOKEN, Base, Place

pytestmark = pytest.mark.kernel


def shown(found: Reproduction, *, asked: int, color: bool = False) -> str:
    system = "standard" if color else None
    console = Console(file=io.StringIO(), width=200, highlight=False, force_terminal=color, color_system=system)
    show_reproduction(console, found, asked=asked)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_bundle_is_executed_again_with_what_it_used(base: Base, place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "tmp").mkdir(parents=True)
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("XDG_", "NBPROD_", "PYTEST_"))}
    own = {"HOME": str(other), "TMPDIR": str(other / "tmp"), MARK: place.project.environ[MARK], "NO_COLOR": "1"}

    def command(*words: str | Path, cwd: Path = other) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).with_name("nbprod"))
        return subprocess.run(
            [program, *words], cwd=cwd, env={**kept, **own}, capture_output=True, text=True, timeout=120, check=False
        )

    gone = base.root.rename(base.root.with_name("gone"))
    try:
        done = command("reproduce", gone / "next.nbprod.zip", "--upstream")
    finally:
        gone.rename(base.root)
    assert done.returncode == 0, done.stdout + done.stderr
    each, _, together = done.stdout.partition("\nTogether, 2 runs\n")
    assert each.count("L3: ") == 2
    told = [line.split()[:3] for line in together.splitlines()]
    assert told == [[name, RunId(place.runs[name]).short, "L3:"] for name in ("work", "next")]
    assert "its outputs and artifacts are the same; there were no scraps to compare" in done.stdout  # of `next`
    assert "L3: its artifacts are the same as well" in done.stdout  # of `work`, which has scraps
    assert f"run {place.runs['work']} executed again as run " in done.stdout
    assert "equal after normalising  (memory addresses)" in done.stdout
    # Nobody named a root key: whose word was taken is told wherever it says "verified".
    assert done.stdout.count("the first run is verified; the root key ") == 2
    assert done.stdout.count(" is believed, as none was named: ") == 2
    assert TOKEN not in done.stdout
    # Its project is the one thing that is left, and is told.
    (home,) = (other / "tmp").iterdir()
    assert done.stderr == f"There is no project here: the new runs are kept in {home}\n"
    told = command("show", "next@latest", cwd=home)
    assert f"run {place.runs['next']}: L3" in told.stdout, told.stderr


@pytest.mark.parametrize(
    ("name", "asked", "code"), [("volatile", 3, 23), ("volatile", 0, 0), ("fails", 3, 23), ("fails", 2, 0)]
)
def test_less_than_was_asked_for_has_an_exit_code_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str, asked: int, code: int
) -> None:
    monkeypatch.setattr("nbprod.project.reproduce.reproduce", lambda *_, **__: place.again[name])
    monkeypatch.chdir(place.root)
    done = CliRunner().invoke(application, ["reproduce", place.runs[name], "--level", str(asked), "--json"])
    assert done.exit_code == code, done.output
    told = json.loads(done.stdout)
    assert told["told"] == place.again[name].stated.told
    assert told["verification"]["conclusion"] == "verified"
    assert told["home"] == str(place.again[name].run.home.root)
    wrong = CliRunner().invoke(application, ["reproduce", place.runs[name], "--home", "x"])
    assert wrong.exit_code == 2


def test_what_differs_is_shown_line_by_line_and_cannot_drive_the_terminal(base: Base) -> None:
    found = base.again["volatile"]
    text = shown(found, asked=3)
    assert "L0: " in text
    assert "no more, because: scrap drawn" in text
    assert "Asked for was L3." in text
    changes = [change for cell in found.comparison.cells for change in cell.changes]
    (change,) = [change for change in changes if change.what == "stdout"]
    lines = [line for line in change.lines if not line.startswith("  ")]
    assert [line[:1] for line in lines] == ["-", "+"]
    for line in lines:
        assert line.replace("\x1b[31m", "") in text
    assert "\x1b" not in text
    assert "\N{REPLACEMENT CHARACTER}" not in text
    (told,) = [each for each in found.to_json()["comparison"]["outputs"] if each["changes"]]
    assert {"what": "stdout", "told": "", "lines": list(change.lines)} in told["changes"]


def test_what_is_to_be_typed_next_is_quoted(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = base.again["volatile"]
    monkeypatch.chdir(tmp_path)
    assert f"cd {base.root}; nbprod show " in shown(found, asked=3)  # control
    strange = replace(found, run=replace(found.run, home=replace(found.run.home, root=tmp_path / "a b;c")))
    assert f"cd '{tmp_path / 'a b;c'}'; nbprod show " in shown(strange, asked=3)


def test_two_runs_that_failed_alike_are_never_shown_as_if_they_were_good(base: Base) -> None:
    found = base.again["fails"]
    failed = "L2: it ended as failed as before, at cell 1, with the same error; its outputs are the same"
    assert f"\x1b[1;31m{failed}" in shown(found, asked=3, color=True)
    assert f"\x1b[1;33m{failed}" in shown(found, asked=2, color=True)
    assert "artifacts are the same" not in shown(found, asked=3)


def test_a_run_that_was_executed_again_is_exported_with_what_is_stated_of_it(base: Base, tmp_path: Path) -> None:
    words = ["verify", str(base.bundle("volatile")), "--seen", str(tmp_path / "seen")]
    checked = CliRunner().invoke(application, words)
    assert checked.exit_code == 0, checked.output
    assert "has executed run" in checked.output
