"""Every ending that a run can take, with real kernels: true, and kept with all that was there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbprod
from nbprod.errors import CallerError, NotFound
from nbprod.execution import driver, nbclient_driver
from nbprod.execution.cancel import CancelToken
from nbprod.execution.events import CellStarted, Event, StreamText
from nbprod.project import Project, Run
from tests.notebooks import PARAMETERS, lies_of, write

from .conftest import TOKEN

pytestmark = pytest.mark.kernel

IGNORING = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('deaf', flush=True)
time.sleep(60)
"""


def run(project: Project, name: str, *cells: Any, **options: Any) -> Run:
    return nbprod.run(write(project.root / f"{name}.ipynb", *cells), project=project, **options)


def read(run: Run) -> Any:
    nb = nbformat.read(run.notebook, as_version=4)
    nbformat.validate(nb)
    return nb


def how(run: Run) -> list[str]:
    return [str(outcome.status) for outcome in run.record.verdict.cells]


def text_of(nb: Any, source: str) -> str:
    cell = next(each for each in nb.cells if each.source == source)
    return "".join(output.get("text", "") for output in cell.outputs)


# --- deadlines and cancelling -------------------------------------------------------------------


def test_a_cell_that_ignores_the_interrupt_is_killed(project: Project) -> None:
    begun = time.monotonic()
    done = run(project, "stubborn", IGNORING, "1", cell_timeout=1.0)
    assert time.monotonic() - begun < 20
    assert done.status == "timed_out"
    assert "ignored the interrupt and was killed" in done.reason
    assert how(done) == ["interrupted", "not_run"]
    assert text_of(read(done), IGNORING) == "deaf\n"


def test_the_whole_run_has_a_deadline(project: Project) -> None:
    done = run(project, "long", "import time\ntime.sleep(0.2)", "time.sleep(60)", timeout=1.0)
    assert done.status == "timed_out"
    assert done.reason == "the run took longer than 1 s (cell 1 was running)"
    assert how(done) == ["ok", "interrupted"]
    assert lies_of(read(done)) == []


def test_the_control_within_the_deadline_all_is_well(project: Project) -> None:
    assert run(project, "short", "import time\ntime.sleep(0.2)", timeout=30.0, cell_timeout=30.0)


class Canceller:
    """Cancels when a cell has printed its first text; again when it hears `times` such texts."""

    def __init__(self, times: int = 1) -> None:
        self.token = CancelToken()
        self.times = times

    def __call__(self, event: Event) -> None:
        if isinstance(event, StreamText) and not self.token:
            for _ in range(self.times):
                self.token.cancel("a test wanted it")


def test_cancel_interrupts_and_keeps_what_was_there(project: Project) -> None:
    canceller = Canceller()
    source = "import time\nprint('so far', flush=True)\ntime.sleep(60)"
    done = run(project, "cancelled", "1", source, "2", cancel=canceller.token, listener=canceller)
    canceller.token.close()
    assert (done.status, done.reason) == ("cancelled", "a test wanted it")
    assert how(done) == ["ok", "interrupted", "not_run"]
    nb = read(done)
    assert text_of(nb, source) == "so far\n"
    assert lies_of(nb) == []


def test_cancelling_twice_does_not_wait_for_the_grace(project: Project) -> None:
    canceller = Canceller(times=2)
    begun = time.monotonic()
    done = run(project, "cancelled twice", IGNORING, cancel=canceller.token, listener=canceller)
    canceller.token.close()
    assert time.monotonic() - begun < 4.9, "the grace is 5 s"
    assert done.status == "cancelled"
    assert "was killed" in done.reason


def test_cancelled_before_it_starts(project: Project) -> None:
    token = CancelToken()
    token.cancel("too late to start")
    done = run(project, "never", "print(1)", cancel=token)
    token.close()
    assert (done.status, how(done)) == ("cancelled", ["not_run"])


def test_a_request_in_the_ledger_cancels(project: Project) -> None:
    path = write(project.root / "asked.ipynb", "import time\nprint('up', flush=True)\ntime.sleep(60)")
    job = project.job(project.step(path), {}, nbprod.project.RunOptions())
    done = project.run_job(job, on_start=lambda run_id: project.home.ledger.request_cancel(run_id, by="me"))
    assert done.status == "cancelled"
    assert "nbprod cancel" in done.reason


# --- what a notebook may do ---------------------------------------------------------------------


def test_an_exit_that_the_step_allows_is_a_success(project: Project) -> None:
    done = run(project, "exits", "print(1)", "import sys\nsys.exit(0)", "print(2)")
    assert done.status == "succeeded"
    assert "declares as fine" in done.reason
    assert how(done) == ["ok", "failed", "not_run"]


def test_an_exit_with_a_status_is_a_failure(project: Project) -> None:
    done = run(project, "exits", "import sys\nsys.exit(3)", "print(2)")
    assert done.status == "failed"
    assert "sys.exit(3)" in done.reason


def test_input_is_refused_clearly(project: Project) -> None:
    done = run(project, "asks", "input('your name? ')")
    assert done.status == "failed"
    assert "StdinNotImplementedError" in done.reason


def test_an_unmet_contract_fails_with_its_line(project: Project) -> None:
    swallowed = "import scrapbook as sb\ntry:\n    1 / 0\n    sb.glue('auc', 1.0)\nexcept Exception:\n    pass"
    done = run(project, "strict", swallowed)
    assert done.status == "failed"
    assert "scrap auc: float, at least 0.6 — found: no such scrap" in done.reason
    assert "artifact model.bin" in done.reason
    assert how(done) == ["ok"]
    assert [line.met for line in done.record.verdict.contract] == [False, False]
    assert "exception" in read(done).metadata.papermill


def test_a_met_contract_is_the_control(project: Project) -> None:
    work = "import scrapbook as sb\nsb.glue('auc', 0.7)\nopen(output_dir + '/model.bin', 'w').close()"
    done = run(project, "strict", ("output_dir = 'x'", PARAMETERS), work)
    assert done.status == "succeeded"
    assert done.reason.endswith("the contract is met")


def test_a_scrap_glued_twice_fails_naming_both_cells(project: Project) -> None:
    done = run(project, "twice", "import scrapbook as sb\nsb.glue('a', 1)", "2", "sb.glue('a', 2)")
    assert done.status == "failed"
    assert "'a'" in done.reason
    assert "0" in done.reason
    assert "2" in done.reason
    assert dict(done.scraps) == {}


def test_hostile_bytes_do_not_stop_the_record(project: Project) -> None:
    work = "import os\nopen(os.path.join(os.fsencode(output_dir), b'\\xff.bin'), 'w').close()\nprint('\\udc80')"
    done = run(project, "hostile", ("output_dir = 'x'", PARAMETERS), work, "raise ValueError('\\udc80\\n| <b> $x$ ' )")
    assert done.status == "failed"
    assert "ValueError" in done.reason
    assert set(done.artifacts) == {"\\xff.bin"}
    nb = read(done)
    assert text_of(nb, work) == "\ufffd\n"


def test_a_notebook_may_remove_its_own_runs_folder(project: Project) -> None:
    work = "import os, shutil\nshutil.rmtree(os.path.dirname(output_dir))\nprint('gone')"
    done = run(project, "removing", ("output_dir = 'x'", PARAMETERS), work)
    assert done
    assert text_of(read(done), work) == "gone\n"


def test_a_stopped_kernel_meets_its_deadline(project: Project) -> None:
    stopped = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
    done = run(project, "stubborn", stopped, cell_timeout=0.5)
    assert done.status == "timed_out"


def test_a_notebook_that_kills_its_keeper_dies_with_it(project: Project) -> None:
    done = run(project, "patricide", "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)")
    assert done.status == "kernel_died"
    assert "keeper vanished" in done.reason


# --- much output --------------------------------------------------------------------------------


def test_much_output_is_cut_with_a_marker_and_its_last_line(project: Project) -> None:
    source = "for i in range(20):\n    print('x' * (1 << 20))\nprint('the last line')"
    done = run(project, "much", source, "print('next')")
    assert done.status == "succeeded"
    first, second = done.record.verdict.cells
    assert first.truncated
    assert first.output_bytes > 20 * 2**20
    assert not second.truncated
    nb = read(done)
    text = text_of(nb, source)
    assert len(text) < 11 * 2**20
    assert "[nbprod] Output cut here" in text
    assert text.endswith("the last line\n")
    assert text_of(nb, "print('next')") == "next\n"


def test_a_chatty_cell_loses_nothing(project: Project) -> None:
    source = "import sys\nfor i in range(10000):\n    print(i); sys.stdout.flush()"
    done = run(project, "chatty", source)
    assert done
    assert text_of(read(done), source).split() == [str(i) for i in range(10000)]


PAUSED = """
import os, sys
import nbprod
import nbprod.kernels.client as client
import subprocess
from nbprod.project import Project

if sys.argv[2] == "stock":
    client.bootstrap_source = lambda observed: "0"
def pause(event, done=[]):
    if type(event).__name__ == "StreamText" and not done:
        done.append(subprocess.Popen(["sh", "-c", f"kill -STOP {os.getpid()}; sleep 3; kill -CONT {os.getpid()}"]))
run = nbprod.run(sys.argv[1], project=Project.find(), listener=pause)
print(run.id)
"""


@pytest.mark.parametrize("bootstrap", ["ours", "stock"])
def test_a_runner_that_does_not_get_to_read_loses_nothing(project: Project, bootstrap: str) -> None:
    """The control: without the bootstrap, ipykernel's socket drops what the paused runner has not read."""
    if project.environ.get("NBPROD_DRIVER") == "nbclient" and bootstrap == "stock":
        pytest.skip("it is the kernel that drops them, whoever drives")
    source = "import sys\nfor i in range(10000):\n    print(i); sys.stdout.flush()"
    path = write(project.root / f"paused {bootstrap}.ipynb", source)
    done = subprocess.run(
        [sys.executable, "-c", PAUSED, str(path), bootstrap],
        env=dict(project.environ),
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    text = text_of(read(project.run(done.stdout.strip())), source)
    forked = project.environ["NBPROD_WARM"] == "true"  # has no such socket
    assert (text.split() == [str(i) for i in range(10000)]) is (bootstrap == "ours" or forked)


LOSE = """
session = get_ipython().kernel.session
stock = session.send
def send(stream, what, content=None, *others, **named):
    kind = what if isinstance(what, str) else what["header"]["msg_type"]
    if kind == {kind!r} and (kind != "status" or content == {{"execution_state": "idle"}}):
        session.send = stock
    else:
        return stock(stream, what, content, *others, **named)
session.send = send
print("done", flush=True)
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_LOST", 0.5)
    monkeypatch.setattr(nbclient_driver, "_IDLE", 1)


@pytest.mark.differs(nbclient="it waits for a reply until the deadline")
@pytest.mark.usefixtures("impatient")
def test_a_reply_that_got_lost_is_given_up(project: Project) -> None:
    lose = LOSE.format(kind="execute_reply")
    done = run(project, "stubborn", lose, "2", cell_timeout=3.0)
    assert done.status == "failed"
    assert "NoReply" in done.reason
    assert text_of(read(done), lose) == "done\n"


@pytest.mark.usefixtures("impatient")
def test_an_idle_that_got_lost_is_noted(project: Project) -> None:
    lose = LOSE.format(kind="status")
    done = run(project, "lost idle", lose, "print(2)", cell_timeout=20.0)
    assert done.status == "succeeded"
    assert text_of(read(done), "print(2)") == "2\n"
    assert b"idle message was lost" in done.home.store.get(done.record.journal.digest)


def test_it_runs_where_an_event_loop_runs(project: Project) -> None:
    async def inside() -> Run:
        return run(project, "inside", "import asyncio\nawait asyncio.sleep(0.01)\nprint('ran')", "raise ValueError")

    done = asyncio.run(inside())
    assert how(done) == ["ok", "failed"]
    assert "ran" in done.notebook.read_text()


def test_a_step_may_set_its_own_limit(project: Project) -> None:
    done = run(project, "limited", "print('y' * 200_000)")
    assert done.record.verdict.cells[0].truncated
    assert "100,000 bytes per cell" in done.notebook.read_text()


# --- kernels that are not there -----------------------------------------------------------------


@pytest.fixture
def spec(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(argv: str) -> None:
        folder = tmp_path / "kernels" / "odd"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(f'{{"argv": {argv}, "display_name": "odd", "language": "python"}}')
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))

    return make


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ('["/does/not/exist"]', "could not be launched"),
        ('["/bin/sh", "-c", "echo broken >&2; exit 4"]', "exited with status 4; its last words: broken"),
    ],
    ids=["no program", "ends at once"],
)
def test_a_kernel_that_never_starts_gives_a_true_record(project: Project, spec: Any, argv: str, told: str) -> None:
    spec(argv)
    done = run(project, "odd", "print(1)", "print(2)", kernel="odd")
    assert done.status == "kernel_died"
    assert told in done.reason
    assert how(done) == ["not_run", "not_run"]
    assert lies_of(read(done)) == []


def test_a_kernel_that_never_answers_is_given_up(project: Project, spec: Any) -> None:
    spec('["/bin/sh", "-c", "sleep 60"]')
    path = write(project.root / "mute.ipynb", "print(1)")
    options = nbprod.project.RunOptions(kernel="odd", start_timeout=0.5)
    done = project.run_job(project.job(project.step(path), {}, options))
    assert done.status == "timed_out"
    assert "did not answer within 0.5 s" in done.reason


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"kernel": "no such kernel"}, NotFound),
        ({"cwd": "/does/not/exist"}, CallerError),
        ({"output": "/does/not/exist/out.ipynb"}, CallerError),
    ],
    ids=["kernel", "cwd", "output"],
)
def test_what_cannot_start_is_refused_before_anything_is_kept(
    project: Project, options: dict[str, Any], error: type[Exception]
) -> None:
    run(project, "fine", "1")
    before = len(list(project.home.ledger.events())), len(list((project.home.folder / "runs").iterdir()))
    with pytest.raises(error):
        run(project, "refused", "1", **options)
    assert (len(list(project.home.ledger.events())), len(list((project.home.folder / "runs").iterdir()))) == before


# --- secrets ------------------------------------------------------------------------------------


def test_a_secret_stands_nowhere(project: Project) -> None:
    source = (
        "import os, scrapbook as sb, base64\ntoken = os.environ['NBPROD_TEST_TOKEN']\nprint(token)\n"
        "print(base64.b64encode(token.encode()).decode())\nsb.glue('t', token)\n"
        "open(output_dir + '/log', 'w').write('nothing')\nraise ValueError(token)"
    )
    done = run(project, "secretive", ("output_dir = 'x'", PARAMETERS), source)
    assert done.status == "failed"
    assert "«secret:NBPROD_TEST_TOKEN»" in done.reason
    home = project.home
    forms = [TOKEN.encode(), TOKEN.encode("unicode_escape"), b"correct horse"]
    row = home.ledger.run(done.id)
    assert row.record is not None
    kept = [home.store.get(digest) for digest in (row.record, done.record.notebook.digest, done.record.journal.digest)]
    kept += [path.read_bytes() for path in home.folder.rglob("*") if path.is_file() and "store" not in path.parts]
    assert not any(form in data for form in forms for data in kept)
    assert "«secret:NBPROD_TEST_TOKEN»" in home.store.get(done.record.notebook.digest).decode()


def test_without_the_declaration_it_would_stand_there(project: Project) -> None:
    """The control: the kernel does have the value, and masking is what keeps it out."""
    done = run(project, "open", "import os\nprint(os.environ['NBPROD_TEST_TOKEN'])")
    assert TOKEN in done.notebook.read_text()


# --- many at once -------------------------------------------------------------------------------


def test_many_threads_do_not_mix(project: Project) -> None:
    path = write(project.root / "many.ipynb", ("n: int = -1", PARAMETERS), "import os\nprint(n, os.getcwd())\nn")
    folders = [project.root / f"cwd{number}" for number in range(8)]
    done: dict[int, Run] = {}

    def one(number: int) -> None:
        folders[number].mkdir()
        done[number] = nbprod.run(path, {"n": number}, cwd=folders[number], project=project)

    here = os.getcwd()  # noqa: PTH109
    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert os.getcwd() == here  # noqa: PTH109
    assert sorted(done) == list(range(8))
    assert len({run.id for run in done.values()}) == 8
    for number, finished in done.items():
        assert finished, finished.reason
        assert finished.parameters["n"] == number
        assert f"{number} {folders[number]}\n" in finished.notebook.read_text().replace("\\n", "\n")


def test_a_listener_that_fails_does_not_end_the_run(project: Project) -> None:
    def broken(event: Event) -> None:
        if isinstance(event, CellStarted):
            raise BrokenPipeError("nobody reads")

    done = run(project, "unheard", "print(1)", "print(2)", listener=broken)
    assert done
    assert any("nobody reads" in note for note in done.record.notes)


def test_an_interrupt_in_the_runner_is_recorded_and_raised(project: Project) -> None:
    def interrupting(event: Event) -> None:
        if isinstance(event, StreamText):
            raise KeyboardInterrupt

    before = time.time()
    with pytest.raises(KeyboardInterrupt):
        run(project, "interrupted", "print('so far', flush=True)", "print(2)", listener=interrupting)
    (row,) = project.home.ledger.runs(nbprod.ledger.RunQuery(steps=("interrupted",)))
    assert row.started.timestamp() >= before - 1
    assert row.status == "cancelled"
    found = project.run(str(row.run_id))
    assert how(found) == ["interrupted", "not_run"]
    assert "so far" in found.notebook.read_text()
