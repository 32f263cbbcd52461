"""`nbprod run` as people call it, with a real kernel."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time

import nbformat
import psutil
import pytest

from nbprod.printable import printable
from tests.cli.conftest import write_notebook
from tests.processes import eventually

pytestmark = pytest.mark.kernel


def kept(nbprod):
    """Return the runs in the ledger: status and reason."""
    with contextlib.closing(sqlite3.connect(nbprod.folder / ".nbprod/ledger.db")) as ledger:
        return ledger.execute("select status, reason from runs order by started").fetchall()


def test_a_good_run_ends_in_a_short_summary_and_is_quiet_else(with_runs):
    done = with_runs.first
    assert (done.returncode, done.stderr) == (0, "")
    head, *rest = done.stdout.splitlines()
    assert head.startswith("✔ succeeded  train")
    shown = {line.split()[0]: line.split(maxsplit=1)[1].rstrip() for line in rest}
    assert shown["scraps"] == "auc 0.75"
    assert shown["artifacts"] == "model.bin (1.2 kB)"
    assert shown["notebook"].startswith(".nbprod/runs/")
    assert (with_runs.folder / shown["notebook"]).is_file()
    assert shown["run"].split()[0] in shown["notebook"]


def test_a_failed_run_tells_why_and_shows_its_lines_when_asked(with_runs):
    done = with_runs.failed
    assert done.returncode == 1
    assert done.stderr == "[0] before\n"
    assert "✘ failed  fail" in done.stdout
    assert "cell 1 raised ZeroDivisionError: division by zero" in done.stdout


@pytest.mark.parametrize(("notebook", "code"), [("quit", 10), ("die", 12)])
def test_each_ending_has_its_exit_code(nbprod, notebook, code):
    assert nbprod("run", f"{notebook}.ipynb").returncode == code


def test_deadlines(nbprod):
    done = nbprod("run", "slow.ipynb", "--execution-timeout", "0.5", "--json")
    assert done.returncode == 11
    result = json.loads(done.stdout)
    assert result["status"] == "timed_out"
    assert "cell 1 took longer than 0.5 s" in result["reason"]


def test_paths_with_braces_and_an_output_template(nbprod):
    done = nbprod(
        "run", "we {ird} ü.ipynb", "out {{x}} {day}.ipynb", "-p", "day", "007", "--log-output", "--report-mode"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[1] ü 007\n"
    executed = nbformat.read(nbprod.folder / "out {x} 007.ipynb", 4)
    assert executed.metadata.papermill.parameters == {"day": "007"}
    assert all(cell.metadata.jupyter.source_hidden for cell in executed.cells if cell.cell_type == "code")


def test_a_notebook_through_pipes(nbprod):
    source = (nbprod.folder / "train.ipynb").read_text()
    done = nbprod.process("run", "-", "-", "-y", "{alpha: 0.5}", stdin=source)
    assert done.returncode == 0, done.stderr
    executed = nbformat.reads(done.stdout, 4)
    assert executed.metadata.papermill.parameters["alpha"] == 0.5
    assert "✔ succeeded  notebook" in done.stderr


def test_streams_into_files(nbprod):
    done = nbprod("run", "train", "--stdout-file", "out.txt", "--stderr-file", "err.txt")
    assert done.returncode == 0
    assert (nbprod.folder / "out.txt").read_text() == "fitted 0.25 'x'\n"
    assert (nbprod.folder / "err.txt").read_text() == "careful\n"


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["nope.ipynb"], ["there is no notebook or step 'nope.ipynb'"]),
        (["train", "-p", "alpa", "1", "-p", "alpha", "x"], ["did you mean alpha?", "alpha: expected float"]),
        (["train", "{foo}.ipynb"], ["'foo'", "no parameter"]),
        (["train", "nowhere/x.ipynb"], ["its folder is not there"]),
        (["train", "."], ["is a folder"]),
        (["train", "train.ipynb"], ["is the notebook itself"]),
        (["train", "-k", "nokernel"], ["no kernel named 'nokernel'"]),
        (["train", "--cwd", "nowhere"], ["the working directory"]),
        (["train", "--timeout", "0"], ["--timeout must be more than 0"]),
        (["train", "-", "--json"], ["--json"]),
        (["-", "-f", "-"], ["Standard input"]),
        (["train", "--prepare-only"], ["needs an OUTPUT"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) and value[0] in ("train", "-", "nope.ipynb") else "",
)
def test_what_cannot_be_run_is_refused_with_2_and_no_run(nbprod, args, parts):
    done = nbprod.here("run", *args)  # in this process: nothing is started
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    ledger = nbprod.folder / ".nbprod/ledger.db"
    assert not ledger.exists() or kept(nbprod) == []


def test_prepare_only_starts_nothing(nbprod):
    done = nbprod.here("run", "train", "out.ipynb", "--prepare-only", "-p", "alpha", "0.5")
    assert done.returncode == 0, done.stderr
    prepared = nbformat.read(nbprod.folder / "out.ipynb", 4)
    nbformat.validate(prepared)
    assert [cell.source for cell in prepared.cells if "injected-parameters" in cell.metadata.get("tags", ())]
    assert prepared.metadata.papermill.parameters == {"alpha": 0.5}
    assert not any(cell.get("outputs") or "nbprod" in cell.metadata for cell in prepared.cells)
    assert not (nbprod.folder / ".nbprod").exists()


def test_prepare_only_cannot_choose_a_folder(nbprod):
    write_notebook(nbprod.folder / "folder.ipynb", [("output_dir: str", "parameters")])
    refused = nbprod("run", "folder.ipynb", "out.ipynb", "--prepare-only")
    assert (refused.returncode, "output_dir: expected str" in refused.stderr) == (2, True)
    assert nbprod("run", "folder.ipynb", "out.ipynb", "--prepare-only", "-p", "output_dir", "x").returncode == 0


def test_help_notebook_shows_the_schema(nbprod):
    done = nbprod.here("run", "train", "--help-notebook")
    assert (done.returncode, done.stderr) == (0, "")
    assert "learning rate" in done.stdout


def test_flags_of_papermill_that_have_no_effect_say_so(nbprod):
    done = nbprod.here("run", "train", "o.ipynb", "--prepare-only", "--engine", "x", "--autosave-cell-every", "9")
    assert done.returncode == 0
    assert done.stderr.count("Note: --") == 2


def started(child):
    """Wait until the notebook prints."""
    for line in child.stderr:
        if "tick" in line:
            return
    raise AssertionError("the run never printed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_cancels_the_run_and_keeps_what_it_had(nbprod, number):
    with nbprod.start("run", "slow.ipynb", "out.ipynb", "--log-output") as child:
        started(child)
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert "Cancelling: the notebook is being interrupted" in err
    assert "■ cancelled  slow" in out
    [(status, reason)] = kept(nbprod)
    assert status == "cancelled"
    assert number.name in reason
    assert "tick 0" in (nbprod.folder / "out.ipynb").read_text()


def test_sigkill_instead_leaves_no_summary_but_a_record_all_the_same(nbprod):
    """The control of the one above: where no signal is caught, the supervisor closes the run."""
    with nbprod.start("run", "slow.ipynb", "--log-output") as child:
        started(child)
        child.kill()
        out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (-signal.SIGKILL, "")
    deadline = time.monotonic() + 30
    while kept(nbprod)[0][0] is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert kept(nbprod)[0][0] == "crashed"


def test_a_reader_that_goes_away_does_not_end_the_run(nbprod):
    with nbprod.start("run", "fail.ipynb", "--log-output") as child:
        child.stderr.close()
        child.stdout.close()
        assert child.wait(60) == 1
    assert kept(nbprod)[0][0] == "failed"


def test_a_terminal_shows_progress_and_lines(nbprod):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, "-m", "nbprod", "run", "train"]
    environ = {**nbprod.environ, "TERM": "xterm"}
    with subprocess.Popen(command, cwd=nbprod.folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as child:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the other side was closed
            while piece := os.read(ours, 4096):
                shown += piece
    os.close(ours)
    assert child.returncode == 0
    text = printable(shown.decode(), instead="")
    for part in ("starting the kernel", "/5", "[3] fitted 0.25 'x'", "[3] careful", "✔ succeeded  train"):
        assert part in text, part


def test_every_flag_of_papermill_is_known():
    from papermill.cli import papermill

    from nbprod.cli.commands.run import run

    ours = {flag for option in run.params for flag in (*option.opts, *option.secondary_opts)}
    theirs = {flag for option in papermill.params for flag in (*option.opts, *option.secondary_opts)}
    assert {flag for flag in theirs if flag.startswith("-")} - ours == {"--version"}


def test_a_run_that_lost_runner_and_supervisor_is_closed_by_the_next_command(nbprod):
    with nbprod.start("run", "slow.ipynb", "--log-output") as child:
        started(child)
        # What is shown may be on its way to the journal still.
        assert eventually(lambda: any(b"tick 0" in path.read_bytes() for path in nbprod.folder.rglob("journal.jsonl")))
        for process in [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.communicate(timeout=30)
    assert kept(nbprod) == [(None, None)]
    assert nbprod("runs").stderr == ""  # its lease goes on for half a minute
    with contextlib.closing(sqlite3.connect(nbprod.folder / ".nbprod/ledger.db")) as ledger, ledger:
        ledger.execute("update runs set lease_until = '2000-01-01T00:00:00.000000Z'")
    done = nbprod("runs")
    assert "Closed a run whose runner vanished, as crashed: " in done.stderr
    assert "crashed" in done.stdout
    assert "tick 0" in nbprod("logs", "@latest").stdout


def test_nbclient_may_drive(nbprod):
    assert nbprod("run", "train.ipynb", "--driver", "nbclient").returncode == 0
    launch = json.loads(nbprod("show", "@latest", "--json").stdout)["predicate"]["launch"]
    assert (launch["how"], launch["driver"]) == ("started", "nbclient")
    assert "nbclient speaks to kernels over ZeroMQ" in launch["why"]
    assert nbprod("run", "train.ipynb", "--driver", "lion").returncode == 2
