"""`nbprod sweep` as people call it."""

import csv
import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading

import pytest
from rich.console import Console

from nbprod.cli import exit_codes
from nbprod.cli.commands.sweep import sweep as command
from nbprod.cli.sweep_live import LiveSweep
from nbprod.cli.sweep_table import show_points
from nbprod.errors import CallerError
from nbprod.execution.events import CellStarted, KernelReady
from nbprod.parameters import tag
from nbprod.printable import printable
from nbprod.project.sweep import MOST
from nbprod.project.swept import Point
from nbprod.record.ids import RunId
from tests.cli.conftest import write_notebook
from tests.processes import MARK, eventually, nothing_survives

RUN = RunId("01890a5d-ac96-774b-bcce-b302099a8057")
DECLARED = (
    "from datetime import date\nC: float = 1.0\nseed: int = 0\ntitle: str = 'x'\nlayers: list[int] = [1]\n"
    "day: date = date(2013, 1, 1)"
)


@pytest.fixture
def grid(nbprod):
    write_notebook(nbprod.folder / "grid.ipynb", [(DECLARED, "parameters"), ("C",)])
    return nbprod


def dry(nbprod, *args, **environ):
    return nbprod.here("sweep", "grid.ipynb", *args, "--dry-run", **environ)


def settings(nbprod, *args):
    done = dry(nbprod, *args, "--json")
    assert done.returncode == 0, done.stderr
    return [run["setting"] for run in json.loads(done.stdout)["runs"]]


def test_a_dry_run_shows_the_settings_and_starts_nothing(grid):
    done = dry(grid, "-p", "C=0.1,1", "-p", "seed=0..1", "-p", "title=the same", "--tag", "t")
    assert [line.split() for line in done.stdout.splitlines()[:-1]] == [
        ["C", "seed"],
        ["0.1", "0"],
        ["0.1", "1"],
        ["1.0", "0"],
        ["1.0", "1"],
    ]
    assert done.stdout.splitlines()[-1] == "the same in all: title=the same"
    assert done.stderr == "Would run 4 of 4 settings; nothing was started.\n"
    assert not (grid.folder / ".nbprod").exists()


def test_lists_files_and_rows_go_together_as_the_help_says(grid):
    assert settings(grid, "-p", "C=1,2", "-p", "seed=5,6", "--zip") == [{"C": 1, "seed": 5}, {"C": 2, "seed": 6}]
    assert settings(grid, "-p", "layers=[1,2],[3]", "-y", "layers: [9]") == [{"layers": [1, 2]}, {"layers": [3]}]
    assert settings(grid, "-y", "layers: [8, 9]", "-r", "title=a,b") == [{"layers": [8, 9], "title": "a,b"}]
    assert settings(grid, "-p", "day=2013-01-31..2013-02-01") == [{"day": "2013-01-31"}, {"day": "2013-02-01"}]
    (grid.folder / "rows.csv").write_text('\ufeffseed, title\n1,"a, b"\n\n2,\n', "utf-8")
    rows = [{"seed": 1, "title": "a, b"}, {"seed": 2}]
    assert settings(grid, "--from", "rows.csv") == rows
    assert settings(grid, "--from", "rows.csv", "-p", "C=1,2", "-y", "title: all") == [
        {"title": "all", **row, "C": c} for row in rows for c in (1, 2)
    ]
    (grid.folder / "rows.tsv").write_text("layers\tseed\n[1, 2]\t3\n")
    assert settings(grid, "--from", "rows.tsv") == [{"layers": [1, 2], "seed": 3}]


def test_what_is_given_twice_is_run_once_and_it_says_so(grid):
    done = dry(grid, "-p", "C=1,1.0,2")
    assert done.stderr.startswith("Note: 1 setting repeats another one and is left out: each is run once.\n")
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-p", "C=x"], "C: expected float, got the text 'x'"),
        (["-p", "c=1,2"], "did you mean C?"),
        (["-p", "C", "0.1"], "-p 'C' is not of the form NAME=VALUES"),
        (["-r", "=1"], "-r '=1' is not of the form NAME=TEXT"),
        (["-p", "C=1", "-p", "C=2"], "values for C are given twice"),
        (["-p", "C=1", "-r", "C=2"], "values for C are given twice"),
        (["-p", "C=1,2", "-p", "seed=1,2,3", "--zip"], "C has 2, seed has 3"),
        (["-p", "C="], "C has no value"),
        (["-p", "seed=0..10000"], "at most 10,000. Found: 10,001"),
        (["-p", "seed=0..9", "--limit", "9"], "at most 9. Found: 10"),
        (["-p", "seed=1,2", "out.ipynb"], "to the same place"),
        (["-p", "seed=1,2", "--resume"], "no sweep of grid has begun any of these settings"),
        (["-p", "seed=1,2", "--resume", "ab"], "there is no sweep ab"),
        (["-p", "seed=1,2", "--resume=ab", "--name", "cd"], "a sweep keeps its name"),
        (["-p", "seed=1,2", "--name", "a b"], "cannot be called so"),
        (["-p", "seed=1", "--csv", "-", "--json"], "either JSON or CSV"),
        (["-p", "seed=1", "--csv", "no/such/file.csv"], "is not there"),
        (["-p", "seed=1", "--timeout", "0"], "--timeout must be more than 0"),
        (["--from", "no.csv"], "no.csv cannot be read. Found: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_refused_before_anything_starts(grid, args, says):
    done = grid.here("sweep", "grid.ipynb", *args)
    assert done.returncode == exit_codes.REFUSED
    assert says in " ".join(done.stderr.split())
    assert not (grid.folder / ".nbprod").exists()


def test_resume_before_the_notebook_does_not_swallow_it(grid):
    done = grid.here("sweep", "--resume", "grid.ipynb", "-p", "seed=1,2")
    assert "no sweep of grid has begun any of these settings" in done.stderr
    assert "Missing argument 'NOTEBOOK|STEP'." in grid.here("sweep", "-p", "seed=1").stderr
    assert "there is no sweep xy" in grid.here("sweep", "--resume", "xy", "grid.ipynb", "-p", "seed=1").stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty file"),
        ("seed\n", "has no rows"),
        ("seed,seed\n1,2\n", "seed twice"),
        ("seed,\n1,2\n", "a name for each column"),
        ("seed\n1,2\n", "line 2 of rows.csv does not fit its first line. Expected: 1 cells: seed. Found: 2"),
        ('seed\n"1\n', "is no CSV"),
        ("nope\n1\n", "nope: expected a declared parameter"),
        ("seed\n1\nx\n", "in setting 2: seed=x"),
    ],
)
def test_a_file_of_settings_is_read_strictly(grid, text, says):
    (grid.folder / "rows.csv").write_text(text)
    done = dry(grid, "--from", "rows.csv")
    assert done.returncode == exit_codes.REFUSED
    assert says in " ".join(done.stderr.split())


def test_the_limit_in_the_help_is_the_one_that_holds():
    option = next(each for each in command.params if each.name == "limit")
    assert f"[default: {MOST}]" in option.help


@pytest.mark.parametrize(
    ("codes", "code"), [([], 0), ([0, 0], 0), ([0, 12, 12], 12), ([1, 12], 1), ([13, 0], 13)], ids=str
)
def test_the_exit_code_is_that_of_the_bad_runs_if_they_are_alike(codes, code):
    assert exit_codes.of_many(codes) == code


def test_a_long_table_shows_what_ended_badly_and_counts_the_rest(capsys):
    points = [
        Point(number=n, values={"n": tag(n)}, error=CallerError("no") if n > 140 else None) for n in range(1, 151)
    ]
    show_points(points)
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == [str(n) for n in (*range(1, 11), *range(141, 151))]
    assert err == "130 more settings that were not started: see --csv FILE or --json.\n"
    show_points(points, started=False)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 101
    assert err == "50 more settings: see --csv FILE or --json.\n"


def test_names_that_are_also_the_table_s_own_are_told_apart(capsys):
    show_points([Point(number=n, values={"status": tag(n)}, error=CallerError("no")) for n in (1, 2)])
    assert capsys.readouterr().out.splitlines()[0].split() == ["status", "(parameter)", "status", "reason"]


# --- the table that changes -----------------------------------------------------------------------


def live(count, *, height=12, bar=True):
    points = [Point(number=number, values={"n": tag(number)}) for number in range(1, count + 1)]
    console = Console(file=io.StringIO(), width=80, height=height, force_terminal=bar)
    return LiveSweep(console, "sweep ab of train", points, ["n"], live=bar), points


def drawn(shown):
    console = Console(file=io.StringIO(), width=80)
    console.print(shown._shown())
    return console.file.getvalue()


def test_the_table_shows_what_goes_on(monkeypatch):
    shown, points = live(3)
    shown(Point(number=2, values=points[1].values, run_id=RUN), None)
    assert "starting the kernel" in drawn(shown)
    shown(Point(number=2, values=points[1].values, run_id=RUN), KernelReady(seconds=0.1, total=4))
    shown(points[1], CellStarted(cell=3, label="Fit [it]", done=1, total=4))
    text = drawn(shown)
    assert "sweep ab of train  0 of 3 done" in text
    assert [line.split()[:3] for line in text.splitlines()[2:]] == [
        ["1", "·", "waiting"],
        ["2", "▶", "running"],
        ["3", "·", "waiting"],
    ]
    assert "1/4  Fit [it]" in text


def test_a_table_that_does_not_fit_shows_what_is_under_way_and_counts_the_rest():
    shown, points = live(50)
    shown(Point(number=40, values=points[39].values, run_id=RUN), None)
    text = drawn(shown)
    assert len(text.splitlines()) <= 12
    assert "40" in [line.split()[0] for line in text.splitlines()]
    assert "and 43 more: 43 waiting" in text


# --- with kernels ---------------------------------------------------------------------------------


@pytest.fixture
def lucky(nbprod):
    cells = [
        ("n: int = 0\nstatus: str = 'fine'", "parameters"),
        ("from pathlib import Path\nif n == 2 and not Path('lucky').exists():\n    raise ValueError('no luck')",),
        ("import scrapbook as sb\nsb.glue('square', n * n)",),
    ]
    write_notebook(nbprod.folder / "lucky.ipynb", cells)
    return nbprod


@pytest.mark.kernel
def test_a_sweep_ends_in_a_table_and_resume_runs_what_failed(lucky):
    asked = ["sweep", "lucky.ipynb", "-p", "n=0..2", "-p", "status=a", "--csv", "out.csv"]
    done = lucky.process(*asked, "out {n}.ipynb", "-j", "2")
    assert done.returncode == 1
    head, *rows, same = [line.split() for line in done.stdout.splitlines()]
    assert head == ["n", "status", "took", "square", "run", "reason"]
    assert [(row[0], row[2]) for row in rows] == [("0", "succeeded"), ("1", "succeeded"), ("2", "failed")]
    assert "no luck" in done.stdout
    assert same == ["the", "same", "in", "all:", "status=a"]
    first, *lines, count, hint = done.stderr.splitlines()
    sweep_id = first.split()[1]
    assert first == f"Sweep {sweep_id} of lucky: 3 settings, 2 at once."
    assert len(lines) == 3
    assert any(line.startswith("[") and "✘ failed  n=2" in line for line in lines)
    assert count == f"2 of 3 succeeded, 1 failed.  nbprod runs --tag sweep={sweep_id}"
    assert hint == f"For what is missing, the same command with --resume {sweep_id}"
    table = list(csv.DictReader(io.StringIO((lucky.folder / "out.csv").read_text())))
    assert [(row["status"], row["params.n"], row["scraps.square"]) for row in table] == [
        ("succeeded", "0", "0"),
        ("succeeded", "1", "1"),
        ("failed", "2", ""),
    ]
    assert {path.name for path in lucky.folder.glob("out *.ipynb")} == {f"out {n}.ipynb" for n in range(3)}
    assert len(json.loads(lucky.here("runs", "--tag", f"sweep={sweep_id}", "--json").stdout)) == 3

    (lucky.folder / "lucky").write_text("")
    seen = lucky.here(*asked, "--resume", "--dry-run")
    assert "Going on with sweep" in seen.stderr
    assert "Would run 1 of 3 settings" in seen.stderr
    again = lucky.process(*asked, "--json", "--resume")
    assert again.returncode == 0, again.stderr
    assert f"Going on with sweep {sweep_id}: 2 of 3 succeeded before." in again.stderr
    result = json.loads(again.stdout)
    assert (result["sweep"], result["step"]) == (sweep_id, "lucky")
    assert [(run["status"], run["kept"], run["scraps"]) for run in result["runs"]] == [
        ("succeeded", True, {"square": 0}),
        ("succeeded", True, {"square": 1}),
        ("succeeded", False, {"square": 4}),
    ]


@pytest.mark.kernel
def test_ctrl_c_ends_the_runs_truly_and_tells_how_to_go_on(nbprod):
    wait = "import time\nfor i in range(600):\n    print('tick', i, flush=True)\n    time.sleep(0.1)"
    write_notebook(nbprod.folder / "wait.ipynb", [("n: int = 0", "parameters"), (wait,)])
    with nothing_survives() as mark:
        nbprod.environ[MARK] = mark
        with nbprod.start("sweep", "wait.ipynb", "-p", "n=1..3", "-j", "2") as child:
            journals = (nbprod.folder / ".nbprod/runs").glob
            assert eventually(
                lambda: sum(b"tick" in path.read_bytes() for path in journals("*/journal.jsonl")) == 2, 60
            )
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert [line.split()[2] for line in out.splitlines()[1:]] == ["cancelled", "cancelled", "not"]
    assert "Cancelling: no more runs are started" in err
    assert "0 of 3 succeeded, 2 cancelled, 1 not started." in err
    assert "with --resume" in err
    runs = json.loads(nbprod.here("runs", "--json").stdout)
    assert [run["status"] for run in runs] == ["cancelled", "cancelled"]
    assert all("SIGINT" in run["reason"] for run in runs)


@pytest.mark.kernel
def test_a_sweep_that_was_killed_goes_on_without_its_process(nbprod):
    wait = "import pathlib, time\nprint('tick', flush=True)\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)"
    write_notebook(nbprod.folder / "wait.ipynb", [("n: int = 0", "parameters"), (wait,)])
    asked = ("sweep", "wait.ipynb", "-p", "n=1,2", "-j", "1")
    with nbprod.start(*asked) as child:
        journals = (nbprod.folder / ".nbprod/runs").glob
        assert eventually(lambda: any(b"tick" in path.read_bytes() for path in journals("*/journal.jsonl")), 60)
        refused = nbprod.here(*asked, "--resume")
        child.kill()
        child.communicate(timeout=30)
    assert refused.returncode == exit_codes.REFUSED
    assert "is under way" in refused.stderr
    (nbprod.folder / "go").write_text("")
    done = nbprod.process(*asked, "--resume")
    assert done.returncode == 0, done.stderr
    runs = json.loads(nbprod.here("runs", "--json").stdout)
    assert sorted((run["parameters"]["n"], run["status"]) for run in runs) == [
        (1, "crashed"),
        (1, "succeeded"),
        (2, "succeeded"),
    ]


@pytest.mark.kernel
def test_a_terminal_shows_a_table_that_changes(nbprod):
    wait = "import pathlib, time\nwhile n and not pathlib.Path('seen').exists(): time.sleep(0.02)"
    write_notebook(nbprod.folder / "wait.ipynb", [("n: int = 0", "parameters"), (wait,)])
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    ask = [sys.executable, "-m", "nbprod", "sweep", "wait.ipynb", "-p", "n=0,1", "-j", "1"]
    environ = {**nbprod.environ, "TERM": "xterm"}
    pieces = []

    def shown():
        return printable(b"".join(pieces).decode(errors="ignore"), instead="")

    def read():
        try:
            while piece := os.read(ours, 4096):
                pieces.append(piece)
        except OSError:  # EIO: the other side was closed
            pass

    with subprocess.Popen(ask, cwd=nbprod.folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as child:
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        eventually(lambda: "1 of 2 done" in shown() and "▶ running" in shown(), 60)
        (nbprod.folder / "seen").touch()  # the second run goes on when the table has shown it
        reader.join(60)
    os.close(ours)
    assert child.returncode == 0
    for part in ("0 of 2 done", "1 of 2 done", "▶ running", "2 of 2 succeeded."):
        assert part in shown(), part
