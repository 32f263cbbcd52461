"""Looking back: runs, show, scraps, logs, labels, open, describe, steps."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from nbprod.cli.screen import Screen
from nbprod.cli.summary import run_json, show_summary
from nbprod.project import Project
from tests.cli.conftest import write_notebook

pytestmark = pytest.mark.kernel


def run_id(done):
    return re.search(r"run +(\w{8})", done.stdout)[1]


def test_runs_lists_the_latest_first(with_runs):
    head, *lines = with_runs("runs").stdout.splitlines()
    assert head.split() == ["run", "status", "step", "started", "took", "name", "tags", "reason"]
    assert [line.split()[0] for line in lines] == [
        run_id(done) for done in (with_runs.failed, with_runs.second, with_runs.first)
    ]
    assert "cell 1 raised ZeroDivisionError" in lines[0]


@pytest.mark.parametrize(
    ("filters", "steps"),
    [
        (["--step", "train"], ["train", "train"]),
        (["--status", "failed"], ["fail"]),
        (["--tag", "t1"], ["train"]),
        (["--where", "scraps.auc>=0.8"], ["train"]),
        (["--where", "params.code=007"], ["train"]),
        (["--text", "ZERODIVISION"], ["fail"]),
        (["--running"], []),
        (["--since", "1h"], ["fail", "train", "train"]),
        (["--until", "1h"], []),
        (["--sort", "step", "--limit", "1"], ["fail"]),
    ],
    ids=" ".join,
)
def test_filters(with_runs, filters, steps):
    assert [row["step"] for row in json.loads(with_runs("runs", "--json", *filters).stdout)] == steps


def test_runs_as_csv(with_runs):
    rows = list(csv.DictReader(io.StringIO(with_runs("runs", "--csv").stdout)))
    assert [row["status"] for row in rows] == ["failed", "succeeded", "succeeded"]
    assert rows[1]["name"] == "best"


def test_a_longer_list_says_that_there_is_more(with_runs):
    done = with_runs("runs", "--limit", "2")
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("reference", ["best", "train@latest", None])
def test_show_tells_the_whole_record(with_runs, reference):
    shown = with_runs("show", reference or run_id(with_runs.second)).stdout
    for part in (
        "✔ succeeded  train  best",
        "every code cell ran",
        " UTC",
        "tags         t1",
        "train.ipynb (source ",
        "distributions (",
        "alpha       0.4",
        "given",
        "auc   0.9",
        "model.bin  ",
        "1.2 kB",
        "scrap auc: float, at least 0.6  met",
        "params  ok",
    ):
        assert part in shown, part


def test_show_tells_of_a_failure(with_runs):
    shown = with_runs("show", "@latest").stdout
    assert re.search(r"signed +yes: `nbprod verify \w{8}`", shown)
    assert "✘ failed  fail\ncell 1 raised ZeroDivisionError: division by zero\n" in shown
    assert re.search(r"0 +ok .*\n +1 +failed .*ZeroDivisionError: division by zero\n +2 +not_run", shown)


def test_show_in_json_is_the_statement(with_runs):
    statement = json.loads(with_runs("show", "best", "--json").stdout)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["request"]["parameters"]["code"] == "007"


@pytest.mark.parametrize(
    "args",
    [["show", "nope"], ["logs", "zzzz"], ["open", "nope"], ["cancel", "nope"], ["tag", "nope", "x"], ["scraps", "no"]],
    ids=" ".join,
)
def test_what_is_not_there_is_refused(with_runs, args):
    done = with_runs(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_scraps_compare_runs(with_runs):
    shown = with_runs("scraps", "train").stdout.splitlines()
    assert shown[0].split() == ["run", "status", "started", "alpha", "code", "auc"]
    assert shown[1].split()[-3:] == ["0.4", "007", "0.9"]
    assert shown[2].split()[-3:] == ["0.25", "x", "0.75"]
    rows = list(csv.DictReader(io.StringIO(with_runs("scraps", "train", "--csv").stdout)))
    assert [(row["params.alpha"], row["scraps.auc"]) for row in rows] == [("0.4", "0.9"), ("0.25", "0.75")]
    data = json.loads(with_runs("scraps", "train", "--json", "--limit", "1").stdout)
    assert [row["scraps"] for row in data] == [{"auc": 0.9}]


def test_logs_of_a_run_that_has_ended(with_runs):
    shown = with_runs("logs", "best").stdout.splitlines()
    assert sorted(shown) == ["[3] careful", "[3] fitted 0.4 '007'"]
    assert with_runs("logs", "best", "--cell", "4").stdout == ""
    timed = with_runs("logs", "best", "-t").stdout
    assert re.search(r"^\d\d:\d\d:\d\d[+-]\d{4} \[3\] fitted", timed, re.MULTILINE)
    lines = [json.loads(line) for line in with_runs("logs", "@latest", "--json").stdout.splitlines()]
    assert (lines[0]["cell"], lines[0]["stream"], lines[0]["line"]) == (0, "stdout", "before")
    assert lines[-1]["line"].endswith("ZeroDivisionError: division by zero") or lines[-1]["stream"] == "error"
    assert with_runs("logs", "-f", "best").returncode == 0


def test_people_change_labels_later(with_runs):
    first = run_id(with_runs.first)
    assert with_runs("tag", first, "a", "b", "a").stdout.endswith("no name, tags a b, no note.\n")
    with_runs("untag", first, "a", "never-there")
    with_runs("note", first, "looks [bold]good[/]")
    row = json.loads(with_runs("name", first, "early", "--json").stdout)
    assert (row["name"], row["tags"], row["note"]) == ("early", ["b"], "looks [bold]good[/]")
    assert "looks [bold]good[/]" in with_runs("show", "early").stdout
    assert json.loads(with_runs("name", "early", "--json").stdout)["name"] is None
    with_runs("untag", first, "b")
    with_runs("note", first)


def test_open_prints_and_writes_pages(with_runs):
    path = with_runs("open", "best", "--print").stdout.strip()
    assert json.loads(with_runs("open", "best", "--json").stdout)["notebook"] == path
    done = with_runs("open", "best", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    page = (with_runs.folder / "page.html").read_text("utf-8")
    assert "fitted 0.4" in page
    assert not re.search(r"<script", page)
    opened = with_runs.process("open", "best", BROWSER="echo %s")
    assert opened.returncode == 0
    assert ".nbprod/pages/" in opened.stdout
    assert with_runs("open", "best", "--jupyter", "--print").returncode == 2


def test_a_run_that_has_ended_cannot_be_cancelled(with_runs):
    done = with_runs("cancel", "best")
    assert done.returncode == 2
    assert "it has ended: succeeded" in done.stderr


def test_following_and_cancelling_from_elsewhere(nbprod):
    with nbprod.start("run", "slow.ipynb", "--log-output") as child:
        next(line for line in child.stderr if "tick 2" in line)
        shown = nbprod("runs", "--running").stdout
        assert "▶ running" in shown
        assert "still running" in nbprod("show", "@latest").stderr
        assert "[1] tick 0" in nbprod("logs", "@latest").stdout
        with nbprod.start("logs", "-f", "@latest") as follower:
            assert follower.stdout.readline() == "[1] tick 0\n"
            asked = nbprod("cancel", "slow@latest")
            assert asked.returncode == 0
            rest, told = follower.communicate(timeout=30)
        assert follower.returncode == 13
        assert "KeyboardInterrupt" in rest
        assert "cancelled" in told
        child.communicate(timeout=30)
    assert child.returncode == 13


def test_open_without_a_browser_tells_where_the_page_is(with_runs, monkeypatch):
    asked = []
    monkeypatch.setattr("webbrowser.open", asked.append)  # returns None, as where no browser is found
    done = with_runs("open", "best")
    assert done.returncode == 0
    assert done.stderr == "No browser was found here. The page is\n"
    assert asked[0].endswith(done.stdout.strip().rpartition("/")[2])


def test_open_in_jupyter_hands_over_a_copy_that_is_read_only(with_runs, tmp_path):
    fake = tmp_path / "jupyter-lab"
    fake.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path}/opened"\nexit 0\n')
    fake.chmod(0o755)
    assert with_runs.here("open", "best", "--jupyter", PATH=f"{tmp_path}:/usr/bin:/bin").returncode == 0
    opened = Path((tmp_path / "opened").read_text().strip())
    assert opened.name == "train.ipynb"
    assert opened.stat().st_mode & 0o222 == 0
    assert with_runs.here("open", "best", "--jupyter", PATH="/nowhere").stderr.startswith(
        "Error: Jupyter was not found"
    )


def test_a_page_that_cannot_be_written_is_refused(with_runs):
    done = with_runs("open", "best", "--html", "nowhere/page.html")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("reference", "parts"), [("best", ("auc 0.9", "model.bin (1.2 kB)")), ("@latest", ("reason",))]
)
def test_the_summary_of_a_run(with_runs, reference, parts):
    run = Project.find(with_runs.folder, {}).run(reference)
    console = Screen(file=io.StringIO(), width=200)
    show_summary(console, run)
    for part in (*parts, run.id.short, str(run.notebook)):
        assert part in console.file.getvalue()
    data = run_json(run)
    assert data["status"] == str(run.status)
    json.dumps(data, allow_nan=False)


def test_csv_and_json_exclude_each_other(with_runs):
    for command in (["runs"], ["scraps", "train"]):
        assert with_runs(*command, "--json", "--csv").returncode == 2


def test_describe_tells_of_a_second_parameters_cell(nbprod):
    write_notebook(nbprod.folder / "twice.ipynb", [("x = 1", "parameters"), ("x = 2", "parameters")])
    assert "cell 1 is tagged parameters too" in " ".join(nbprod("describe", "twice.ipynb").stdout.split())
    assert "Note" not in nbprod("describe", "train").stdout


@pytest.mark.parametrize("name", ["@latest", "train@latest", "@x", "  ", "a\nb", "a\x1b[31m"], ids=ascii)
def test_names_that_could_not_be_used_are_refused(with_runs, name):
    first = run_id(with_runs.first)
    refused = with_runs("name", first, name)
    assert (refused.returncode, "cannot be called so" in refused.stderr) == (2, True)
    assert with_runs("run", "train", "--name", name).returncode == 2
    assert json.loads(with_runs("name", first, " me@home ", "--json").stdout)["name"] == "me@home"
    with_runs("name", first)


def test_an_order_asks_for_a_number_or_a_date(with_runs):
    refused = with_runs("runs", "--where", "scraps.auc>=abc")
    assert (refused.returncode, "orders numbers and dates" in refused.stderr) == (2, True)
