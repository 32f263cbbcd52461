"""Real runs, compared by the command, as a page and from Python."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from click.testing import CliRunner, Result

import nbprod
from nbprod.cli.app import nbprod as application
from nbprod.diff import Level, Outcome, Tolerance, reached
from nbprod.project import Project, Run, RunOptions
from nbprod.project.erase import Choice, carry_out, plan
from nbprod.record.parts import PartKind
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives

pytestmark = pytest.mark.kernel

SETTINGS = """
[tool.nbprod.steps.train]
notebook = "train.ipynb"
reuse = "10d"
expect.scraps.auc = { type = "float", max = 0.95 }
"""
DECLARED = ("alpha: float = 1.0\ndata = 'data.csv'\noutput_dir = 'x'", PARAMETERS)
VOLATILE = """
import datetime, sys, tempfile
print(object(), datetime.datetime.now(), tempfile.mkdtemp(), output_dir)
print('careful', file=sys.stderr)
"""
FIGURE = """
import io
from IPython.display import Image as Shown
from PIL import Image
picture = io.BytesIO()
Image.new('RGB', (40, 20), (int(alpha * 50), 0, 0)).save(picture, 'png')
Shown(data=picture.getvalue())
"""
RESULTS = """
import json, scrapbook as sb
sb.glue('auc', 0.5 + alpha / 8)
sb.glue('rows', 7)
with open(output_dir + '/metrics.json', 'w') as file:
    json.dump({'alpha': alpha, '<script>': 1}, file)
with open(output_dir + '/model.joblib', 'wb') as file:
    file.write(b'm' * int(alpha))
assert alpha < 9
"""
SAYS = "print('<script>alert(1)</script>', alpha)"
MORE = r"print('\x1bcmore\u202e')"
"""What would clear a terminal, and turn a line around."""


@dataclass(frozen=True)
class Place:
    """A project and its runs by name."""

    project: Project
    runs: dict[str, Run]

    def nbprod(self, *args: str) -> Result:
        with contextlib.chdir(self.project.root):
            return CliRunner().invoke(application, list(args), env={"NO_COLOR": "1"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("compared")
    cells = ("# Train a model", DECLARED, "# Volatile", VOLATILE, SAYS, FIGURE, "# Results", RESULTS)
    runs: dict[str, Run] = {}
    with nothing_survives() as mark, project_in(root, mark, SETTINGS) as project:

        def run(name: str, alpha: float, *, reuse: bool = False) -> None:
            options = RunOptions(name=name, reuse=reuse)
            job = project.job(project.step("train"), {"alpha": alpha, "data": str(root / "data.csv")}, options)
            runs[name] = project.run_job(job)

        write(root / "train.ipynb", *cells)
        (root / "data.csv").write_text("1")
        run("first", 1.0)
        run("again", 1.0)
        run("answered", 1.0, reuse=True)
        run("other", 2.0)
        run("failed", 9.0)
        (root / "data.csv").write_text("2")
        write(root / "train.ipynb", *cells[:4], f"{SAYS}\n{MORE}", *cells[5:], "1 + 1")
        run("changed", 1.0)
        yield Place(project, runs)


def test_two_runs_of_the_same_do_not_differ(place):
    found = place.runs["first"].diff(place.runs["again"])
    assert found.differing() == ()
    assert found.first_difference is None
    assert pickle.loads(pickle.dumps(found)) == found
    (volatile,) = [cell for cell in found.cells if cell.outcome is Outcome.NORMALISED]
    always = ("the run's own places", "times during the run", "temporary names")
    assert volatile.rules[:3] == always
    assert set(volatile.rules) <= {*always, "memory addresses"}  # those may be the same by chance
    assert volatile.title == "Volatile"
    assert reached(found).level is Level.ARTIFACTS
    done = place.nbprod("diff", "first", "again", "--exit-code")
    assert done.exit_code == 0
    assert "The runs do not differ in anything that counts." in done.stdout


def test_a_run_that_was_answered_is_as_the_one_that_answered(place):
    assert place.runs["answered"].status == "cached"
    found = nbprod.compare("first", place.runs["answered"], project=place.project)
    assert found.differing() == ()
    assert place.runs["answered"].record.of == place.runs["again"].id
    answer = place.runs["again"].diff(place.runs["answered"])
    assert {cell.outcome for cell in answer.cells} == {Outcome.EQUAL}


GOLDEN = """\
- train  RUN  WHEN  succeeded
+ train  RUN  WHEN  succeeded
The runs differ in parameters, scraps, outputs and artifacts. The first cell whose output differs is cell 4.

Verdict      the same: succeeded
Source       the same
Parameters   1 differs
  alpha  1.0  → 2.0
Inputs       the same
Environment  the same
Scraps       of 2 scraps: 1 different, 1 equal
  scrap  before  after            change
  auc    0.625   0.75   +0.125 (+20.00%)  different
Outputs      of 5 cells: 3 different, 1 equal after normalising, 1 equal
  cell 3 equal after normalising (RULES)  Volatile
  cell 4 different  Volatile
    stdout
      - <script>alert(1)</script> 1.0
      + <script>alert(1)</script> 2.0
  cell 5 different  Volatile
    image/png: 100.00% of the pixels differ
  cell 7 different  Results
    scraps: auc (see the scraps)
Artifacts    of 2 artifacts: 2 different
  metrics.json different (values of JSON)  SIZE
      alpha: 1.0 → 2.0
  model.joblib different  1 B → 2 B
      a pickle is never loaded
Time         TIME
"""


def test_what_the_terminal_shows(place):
    done = place.nbprod("diff", "first", "other", "--exit-code")
    assert done.exit_code == 1
    shown = re.sub(r" [0-9a-f]{8}  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", " RUN  WHEN", done.stdout)
    shown = re.sub(r"\(the run's own places, [^)]*\)", "(RULES)", shown)
    shown = re.sub(r"(values of JSON\)  ).*", r"\1SIZE", shown)
    shown = re.sub(r"^Time .*\n(  cell .*\n)*", "Time         TIME\n", shown, flags=re.MULTILINE)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines == GOLDEN.splitlines()


def test_source_inputs_and_cells_that_are_new(place):
    found = place.runs["first"].diff(place.runs["changed"])
    assert found.differing() == ("source", "inputs", "outputs")
    assert [(each.change, each.before, each.after) for each in found.source] == [("changed", 4, 4), ("added", None, 8)]
    assert [(each.component, each.name) for each in found.inputs] == [("input", "data")]
    assert [(cell.cell, cell.outcome) for cell in found.cells if not cell.outcome.same] == [
        (4, Outcome.DIFFERENT),
        (8, Outcome.ONLY_AFTER),
    ]
    shown = place.nbprod("diff", "first", "changed").stdout
    assert "Source       cells: 1 changed, 1 added\n  cell 4 (code) changed\n" in shown
    assert f"      + {MORE}\n" in shown


def test_a_run_that_failed(place):
    found = place.runs["first"].diff(place.runs["failed"])
    assert found.verdict.status == ("succeeded", "failed")
    ending = found.cells[-1]
    assert [change.what for change in ending.changes][:2] == ["ending", "error"]
    assert reached(found).level is Level.NONE
    shown = place.nbprod("diff", "first", "failed", "--only", "verdict,outputs").stdout
    assert "Verdict      succeeded → failed\n" in shown
    assert "cell 7 raised AssertionError" in shown
    assert "ending: ok → failed" in shown
    assert "Parameters" not in shown
    took = place.nbprod("diff", "first", "failed", "--only", "time", "--exit-code")
    assert (took.exit_code, took.stdout.splitlines()[2]) == (
        0,
        "How long runs take is told, and never counts as a difference.",
    )
    told = place.nbprod("diff", "first", "again", "--only", "time,scraps").stdout
    assert told.splitlines()[2] == "The runs do not differ in scraps."


def test_nothing_that_a_notebook_prints_drives_the_terminal(place, tmp_path):
    """The kernel colours its tracebacks; and notebooks print what they like."""
    assert "\x1b[" in place.runs["failed"].notebook.read_text("utf-8").replace("\\u001b", "\x1b")  # positive control
    page = tmp_path / "page.html"
    for name in ("failed", "changed"):
        place.nbprod("diff", "first", name, "--html", str(page))
        shown = place.nbprod("diff", "first", name).stdout
        told = place.nbprod("diff", "first", name, "--json").stdout
        shown += place.nbprod("logs", name).stdout + place.nbprod("show", name).stdout
        for text in (shown, told, page.read_text("utf-8")):
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "      + more\ufffd\n" in place.nbprod("diff", "first", "changed").stdout
    assert "AssertionError" in place.nbprod("diff", "first", "failed").stdout
    assert "[0;31m" not in place.nbprod("diff", "first", "failed").stdout


def test_json_sections_and_tolerances(place):
    told = json.loads(place.nbprod("diff", "first", "other", "--json").stdout)
    assert told["differing"] == ["parameters", "scraps", "outputs", "artifacts"]
    assert told["first_difference"] == 4
    assert told["scraps"][0]["change"] == 0.125
    assert told["time"]["seconds"] == [place.runs[name].seconds for name in ("first", "other")]
    some = ("diff", "first", "other", "--only", "scraps", "--exit-code")
    assert place.nbprod(*some).exit_code == 1
    assert place.nbprod(*some, "--tolerance", "auc=0.125").exit_code == 0
    assert json.loads(place.nbprod(*some, "--json").stdout).keys() == {
        "before",
        "after",
        "steps",
        "differing",
        "first_difference",
        "scraps",
        "unknown",
    }
    assert place.runs["first"].diff(place.runs["other"], tolerance=Tolerance.parse(["20%"])).differing() == (
        "parameters",
        "outputs",
        "artifacts",
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--only", "scrap"], "there is no section scrap"),
        (["--tolerance", "auk=1"], "there is a tolerance for auk, which neither run glued"),
        (["--tolerance", "lots"], "not a tolerance"),
    ],
)
def test_slips_are_refused(place, options, told):
    done = place.nbprod("diff", "first", "other", *options)
    assert done.exit_code == 2
    assert told in done.stderr
    assert place.nbprod("diff", "first", "nobody").exit_code == 2


def test_what_was_erased_is_told_and_counts_as_a_difference(place):
    with contextlib.chdir(place.project.root):
        job = place.project.job(
            place.project.step("train"),
            {"alpha": 3.0, "data": str(place.project.root / "data.csv")},
            RunOptions(name="gone"),
        )
        run = place.project.run_job(job)
    choice = Choice(artifacts=("metrics.json",), kinds=frozenset({PartKind.OUTPUT}))
    carry_out(plan(run, choice, why="asked"), by="ada", at=place.project.now())
    found = place.runs["first"].diff(run)
    assert [str(section) for section, _ in found.unknown] == ["outputs"]
    assert {each.name: each.outcome for each in found.artifacts}["metrics.json"] is Outcome.UNKNOWN
    assert {"source", "outputs", "artifacts"} <= set(found.differing())
    shown = place.nbprod("diff", "first", "gone").stdout
    assert "Outputs      cannot tell\n" in shown
    assert "asked" in shown


def test_the_page_is_whole_and_harmless(place, tmp_path):
    page = tmp_path / "page.html"
    done = place.nbprod("diff", "first", "other", "--html", str(page))
    assert (done.exit_code, done.stdout) == (0, "")
    html = page.read_text("utf-8")
    assert "<script" not in html.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 2.0" in html
    assert not re.search(r'(?:src|href)="(?!data:image/|#)', html)
    assert html.count('<img src="data:image/png;base64,') == 2
    assert "default-src &#39;none&#39;" in html
    assert f"{place.runs['other'].id} (other)" in html
    refused = place.nbprod("diff", "first", "other", "--html", str(tmp_path / "no" / "page.html"))
    assert refused.exit_code == 2


def test_the_page_in_a_browser(place, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("chromium is not installed")
    page = tmp_path / "page.html"
    place.nbprod("diff", "first", "other", "--html", str(page))
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
    ]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    assert "The first cell whose output differs is cell 4." in done.stdout
