"""Reuse, explain, rerun, publish and step from the command line."""

import json
import re

import pytest

pytestmark = pytest.mark.kernel


def run_id(done):
    return re.search(r"run +(\w{8})", done.stdout)[1]


def test_an_earlier_run_answers_and_explain_says_why(nbprod):
    assert "no earlier run" in nbprod("explain", "train").stdout
    first = nbprod("run", "train", "--reuse")
    assert first.returncode == 0, first.stderr
    again = nbprod("run", "train", "--reuse")
    assert (again.returncode, "cached" in again.stdout) == (0, True)
    assert f"answered by run {run_id(first)}" in nbprod("explain", "train").stdout
    assert "parameter alpha: 0.25 → 0.3" in nbprod("explain", "train", "-p", "alpha", "0.3").stdout
    told = json.loads(nbprod("explain", "train", "-p", "alpha", "0.3", "--json").stdout)
    assert [each["component"] for each in told["differences"]] == ["parameter"]
    shown = nbprod("show", "@latest").stdout
    assert "cached" in shown
    assert "answered by run" in nbprod("explain", "@latest").stdout
    assert nbprod("explain", "nobody").returncode == 2
    assert nbprod("run", "train").stdout.count("cached") == 0  # the control: not asked for


def test_a_run_is_run_again(nbprod):
    first = nbprod("run", "train", "-p", "alpha", "0.4")
    done = nbprod.process("rerun", run_id(first))
    assert done.returncode == 0, done.stderr
    rows = json.loads(nbprod("runs", "--json").stdout)
    assert len(rows) == 2
    assert rows[0]["run"].endswith(run_id(done))
    assert [row["parameters"]["alpha"] for row in rows] == [0.4, 0.4]
    failed = nbprod("run", "fail.ipynb")
    assert nbprod.process("rerun", run_id(failed)).returncode == 1
    assert nbprod("rerun", "no-such-flow", "--failed").returncode == 2


def test_a_step_is_published_and_run(nbprod):
    assert nbprod("step", "history", "train").returncode == 2
    done = nbprod("publish", "train", "--alias", "production", "-m", "first")
    assert (done.returncode, done.stdout) == (0, "Published train@1; train@production points at it.\n")
    assert nbprod("publish", "train").stdout == "train@1 is as it was.\n"
    (nbprod.folder / "train.ipynb").write_text((nbprod.folder / "train.ipynb").read_text().replace("0.25", "0.75"))
    assert "published train@2" in nbprod("publish", "train").stdout.lower()
    ran = nbprod("run", "train@production", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["scraps"]["auc"] == 0.75
    assert nbprod("run", "train@2", "--json").stdout.count("1.25") == 1
    steps = nbprod("steps").stdout
    assert "latest → 2, production → 1" in " ".join(steps.split())
    diff = nbprod("step", "diff", "train@1", "train@2").stdout
    assert "+alpha: float = 0.75" in diff
    assert {each["part"] for each in json.loads(nbprod("step", "diff", "train@1", "train@2", "--json").stdout)} == {
        "cell",
        "parameter",
    }
    assert "points at version 2" in nbprod("step", "alias", "train", "production", "2", "--why", "better").stdout
    assert "is where it was" in nbprod("step", "alias", "train", "production", "2").stdout
    assert nbprod("step", "alias", "train", "production").returncode == 2
    history = nbprod("step", "history", "train").stdout
    assert "production points at version 2, from version 1" in history
    assert "better" in history
    assert "taken away" in nbprod("step", "alias", "train", "production", "--remove").stdout
    kinds = [each["kind"] for each in json.loads(nbprod("step", "history", "train", "--json").stdout)]
    assert kinds == ["StepPublished", "AliasMoved", "StepPublished", "AliasMoved", "AliasMoved"]
    assert nbprod("run", "train@production").returncode == 2


def test_a_step_that_is_not_there_is_not_published(nbprod):
    done = nbprod("publish", "nobody")
    assert done.returncode == 2
    assert "there is no notebook or step 'nobody'" in done.stderr
