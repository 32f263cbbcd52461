"""An earlier run answers, or does not, and it is said why."""

from __future__ import annotations

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import NotFound, SettingsError
from nbprod.execution.cancel import CancelToken
from nbprod.ledger import RunQuery
from nbprod.project import Project, Run, RunOptions
from nbprod.project.explain import explain_job, explain_run
from nbprod.project.rerun import flow_run_of, rerun_flow_run, rerun_job
from nbprod.record.status import Status
from nbprod.runner import Job
from nbprod.step.contract import Contract
from nbprod.step.reuse import NO_REUSE, Reuse, ReuseMode
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import nothing_survives
from tests.telling import started

pytestmark = pytest.mark.kernel

COUNTS = """
import pathlib, scrapbook as sb
times = pathlib.Path(counter)
times.write_text(times.read_text() + "x")
sb.glue("value", 2 * value)
sb.glue("token", __import__("secrets").token_hex(8))
if output_dir:
    pathlib.Path(output_dir, "half.txt").write_text(str(value / 2))
"""
DECLARED = """
value: float = 1.0
counter: str = "counter"  # no separator: not an input
output_dir: str = ""
"""


class Counted:
    """A notebook that says how often it was run."""

    def __init__(self, project: Project, name: str, *cells: str) -> None:
        self.project = project
        self.counter = project.root / f"{name}.count"
        self.counter.write_text("")
        self.path = write(project.root / f"{name}.ipynb", (DECLARED, PARAMETERS), COUNTS, *cells)

    def job(self, value: float = 1.0, **options: Any) -> Job:
        step = self.project.step(self.path)
        return self.project.job(step, {"value": value, "counter": self.counter.name}, RunOptions(**options))

    def run(self, value: float = 1.0, **options: Any) -> Run:
        return self.project.run_job(self.job(value, **options))

    @property
    def times(self) -> int:
        return len(self.counter.read_text())


@pytest.fixture(scope="module")
def counted(project: Project) -> Counted:
    return Counted(project, "counted")


@pytest.fixture(scope="module")
def first(counted: Counted) -> Run:
    """The run that the tests of this module reuse; its own counter file is no input of it."""
    return counted.run(reuse=True).raise_for_status()


def always(job: Job) -> Job:
    """The counter file changes with each run: these tests are about all that comes before the check of such files."""
    return replace(job, reuse=Reuse(mode=ReuseMode.ALWAYS))


def test_an_equal_request_is_answered_by_the_earlier_run(counted: Counted, first: Run, tmp_path: Path) -> None:
    before = counted.times
    job = always(counted.job(output=tmp_path / "out.ipynb", tags=("again",), name="the second"))
    again = counted.project.run_job(job)
    assert counted.times == before
    assert (again.status, again.record.of, bool(again)) == (Status.CACHED, first.id, True)
    assert again.id != first.id
    assert str(first.id) in again.reason
    assert dict(again.scraps) == dict(first.scraps)
    assert again.artifacts["half.txt"].path().read_text() == "0.5"
    assert (tmp_path / "out.ipynb").read_bytes() == first.notebook.read_bytes() == again.notebook.read_bytes()
    row = counted.project.home.ledger.run(again.id)
    assert (row.status, row.of, row.tags, row.name) == (Status.CACHED, first.id, ("again",), "the second")
    assert not (counted.project.home.folder / "runs" / str(again.id)).exists()
    assert again.record == type(again.record).from_bytes(again.record.to_bytes())


def test_a_cached_run_does_not_answer_itself(counted: Counted, first: Run) -> None:
    """Else a chain of answers would keep an old result young for ever."""
    counted.project.run_job(always(counted.job()))
    assert counted.project.run_job(always(counted.job())).record.of == first.id


def test_without_reuse_nothing_is_answered(counted: Counted, first: Run) -> None:
    before = counted.times
    assert counted.run().status is Status.SUCCEEDED
    assert counted.times == before + 1


@pytest.mark.parametrize(
    ("reuse", "says"),
    [
        (Reuse(longest=timedelta(microseconds=1)), "it is from"),
        (Reuse(longest=timedelta(days=1)), None),
    ],
    ids=["too old", "young enough"],
)
def test_a_run_may_be_too_old(counted: Counted, first: Run, reuse: Reuse, says: str | None) -> None:
    told = explain_job(counted.project, replace(counted.job(), reuse=reuse)).hindrances
    assert any("it is from" in each for each in told) is (says is not None)


def test_another_contract_is_held_against_the_earlier_run(counted: Counted, first: Run) -> None:
    def asking(expect: dict[str, Any]) -> Job:
        job = always(counted.job())
        settings = replace(job.step.settings, expect=Contract.parse(expect, "the contract"))
        return replace(job, step=replace(job.step, settings=settings))

    met = counted.project.run_job(asking({"scraps": {"value": {"type": "float", "max": 2}}}))
    assert (met.status, [line.met for line in met.record.verdict.contract]) == (Status.CACHED, [True])
    unmet = asking({"scraps": {"value": {"type": "float", "min": 3}}})
    assert "does not meet the contract" in str(explain_job(counted.project, unmet).hindrances)
    assert counted.project.run_job(unmet).status is Status.FAILED


def test_an_artifact_that_was_handed_over_is_pinned_wherever_it_lies(tmp_path: Path) -> None:
    """A worker's own folder may be outside of the project: the copy in it has the digest that the request names."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.txt").write_text("3")
    environ = {"NBPROD_HOME": str(tmp_path / "home")}
    with nothing_survives() as mark, project_in(tmp_path / "project", mark, environ=environ) as project:
        makes = ("output_dir: str = ''", PARAMETERS), "open(output_dir + '/rows.txt', 'w').write('3')"
        reads = ("rows: str = ''\nmore: str = ''", PARAMETERS), "print(open(rows).read(), more and open(more).read())"
        write(project.root / "makes.ipynb", *makes)
        write(project.root / "reads.ipynb", *reads)
        made = project.run_job(project.job(project.step("makes.ipynb"), {}, RunOptions())).raise_for_status()

        def job(more: str = "") -> Job:
            given = {"rows": made.artifacts["rows.txt"], "more": more}
            return project.job(project.step("reads.ipynb"), given, RunOptions(reuse=True))

        ran = project.run_job(job()).raise_for_status()
        assert project.run_job(job()).record.of == ran.id
        # The control: what was not handed over from a run lies outside, and nobody knows whether it is the same.
        beside = job(f"..{os.sep}data{os.sep}table.txt")
        project.run_job(beside).raise_for_status()
        assert "not pinned" in " ".join(explain_job(project, beside).hindrances)


def test_the_same_occasion_is_the_same_run(counted: Counted) -> None:
    before = counted.times
    monday = counted.run(3.0, occasion="monday")
    assert counted.run(3.0, occasion="monday") == monday
    assert counted.times == before + 1
    tuesday = counted.run(3.0, occasion="tuesday")
    other = counted.run(4.0, occasion="monday")
    assert counted.times == before + 3
    assert len({monday.id, tuesday.id, other.id}) == 3


def test_what_failed_is_tried_again_and_linked(project: Project) -> None:
    path = write(project.root / "flaky.ipynb", ("go: str = 'go'", PARAMETERS), "assert open(go).read() == 'go'")
    (project.root / "go").write_text("no")

    def attempt() -> Run:
        job = project.job(project.step(path), {}, RunOptions(occasion="once", reuse=True))
        return project.run_job(job)

    bad = attempt()
    (project.root / "go").write_text("go")
    good = attempt()
    assert (bad.status, good.status) == (Status.FAILED, Status.SUCCEEDED)
    assert project.home.ledger.run(good.id).retry_of == bad.id
    assert attempt() == good


def asked_at_once(counted: Counted, count: int) -> list[Run]:
    """Return what so many threads get that ask for the same at the same time."""
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(counted.project.run_job, always(counted.job())) for _ in range(count)]
    return [each.result() for each in asked]


def test_of_many_who_ask_at_once_one_runs(project: Project) -> None:
    counted = Counted(project, "crowd", "import time; time.sleep(0.5)")
    found = asked_at_once(counted, 6)
    assert counted.times == 1
    (ran,) = [run for run in found if run.status is Status.SUCCEEDED]
    assert {run.record.of for run in found} == {None, ran.id}
    assert [run.status for run in found].count(Status.CACHED) == 5


def test_if_the_one_fails_all_have_that_failure(project: Project) -> None:
    counted = Counted(project, "doomed", "import time; time.sleep(0.5); 1 / 0")
    found = asked_at_once(counted, 4)
    assert counted.times == 1
    assert len({run.id for run in found}) == 1
    assert found[0].status is Status.FAILED
    assert project.run_job(always(counted.job())).id != found[0].id  # who asks later tries again


def test_nobody_waits_for_a_runner_that_is_gone(project: Project, counted: Counted) -> None:
    job = always(counted.job(17.0))
    request = project.foresee(job)
    ledger = project.home.ledger
    begun = next(row for row in ledger.runs(RunQuery(limit=1)))
    gone = type(begun.run_id).new(begun.started, b"0123456789")
    ledger.append(
        started(gone, at=begun.started, request_digest=request.digest, lease_seconds=0.0, folder="nowhere", shared=True)
    )
    assert project.run_job(job).status is Status.SUCCEEDED


def test_who_waits_can_be_cancelled(project: Project) -> None:
    counted = Counted(project, "slow", "import time; time.sleep(30)")
    tokens = [CancelToken(), CancelToken()]
    found: dict[int, Run] = {}

    def ask(number: int) -> None:
        found[number] = project.run_job(always(counted.job()), cancel=tokens[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    threads[0].start()
    while not counted.times:
        threads[0].join(0.05)
    threads[1].start()
    threads[1].join(0.7)
    assert threads[1].is_alive()  # it waits
    tokens[1].cancel("the test")
    threads[1].join()
    assert found[1].status is Status.CANCELLED
    assert threads[0].is_alive()  # the other goes on
    tokens[0].cancel("the test")
    threads[0].join()
    assert found[0].status is Status.CANCELLED


TOUCHES = """
import json, os, pathlib, extra_module
folder = pathlib.Path("touched")
print(sorted(os.listdir(folder)), (folder / "config.json").read_text(), pathlib.Path("override.json").exists())
pathlib.Path("left.txt").write_text("by the notebook")
"""
CHANGES = {
    "a file that it read": lambda root: (root / "touched" / "config.json").write_text("{'b': 2}"),
    "a folder that it listed": lambda root: (root / "touched" / "new").write_text(""),
    "a folder that is gone": lambda root: shutil.rmtree(root / "touched"),
    "what it looked for in vain": lambda root: (root / "override.json").write_text(""),
    "a module": lambda root: (root / "extra_module.py").write_text("x = 2"),
    "what it left": lambda root: (root / "left.txt").unlink(),
}


def test_whatever_it_touched_must_be_the_same(project: Project) -> None:
    root = project.root / "touching"
    path = root / "touching.ipynb"

    def lay_out() -> None:
        shutil.rmtree(root, ignore_errors=True)
        (root / "touched").mkdir(parents=True)
        (root / "touched" / "config.json").write_text("{'a': 1}")
        (root / "extra_module.py").write_text("x = 1")
        write(path, TOUCHES)

    def job() -> Job:
        return project.job(project.step(path), {}, RunOptions(reuse=True))

    lay_out()
    ran = project.run_job(job()).raise_for_status()
    assert project.run_job(job()).record.of == ran.id  # the control
    told = {}
    for what, change in CHANGES.items():
        lay_out()
        (root / "left.txt").write_text("by the notebook")
        assert explain_job(project, job()).answer == ran, what
        change(root)
        found = explain_job(project, job())
        told[what] = " ".join(found.hindrances)
        assert found.answer is None, what
    assert {what: text.split()[1] for what, text in told.items()} == {
        "a file that it read": "read",
        "a folder that it listed": "listed",
        "a folder that is gone": "read",
        "what it looked for in vain": "looked",
        "a module": "read",
        "what it left": "left",
    }
    lay_out()
    (root / "extra_module.py").write_text("x = 3")
    assert project.run_job(job()).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import subprocess; subprocess.run(['true'])", "it started, and nobody observed, true"),
        (
            "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError:\n    pass",
            "it contacted",
        ),
        ("open('/var/lib/dpkg/status').read(1)", "not pinned"),
    ],
    ids=["subprocess", "host", "unpinned"],
)
def test_what_cannot_be_compared_speaks_against_it(project: Project, source: str, says: str) -> None:
    path = write(project.root / "uncomparable.ipynb", source)

    def job(reuse: Reuse) -> Job:
        return replace(project.job(project.step(path), {}, RunOptions()), reuse=reuse)

    project.run_job(job(Reuse())).raise_for_status()
    assert says in " ".join(explain_job(project, job(Reuse())).hindrances)
    assert project.run_job(job(Reuse())).status is Status.SUCCEEDED
    assert project.run_job(job(Reuse(mode=ReuseMode.ALWAYS))).status is Status.CACHED


# --- explain ---------------------------------------------------------------------------------------


def test_explain_names_what_differs(project: Project, counted: Counted, first: Run) -> None:
    told = explain_job(project, counted.job(1.5))
    assert told.answer is None
    (value,) = [str(each) for each in told.differences if each.name == "value"]
    assert value.startswith("parameter value: ")
    assert value.endswith(" → 1.5")
    assert explain_job(project, always(counted.job())).answer is not None
    assert json.loads(json.dumps(told.to_json()))["nearest"] == str(told.nearest.id if told.nearest else "")


def test_explain_knows_source_inputs_and_settings(project: Project) -> None:
    write(project.root / "told.ipynb", ("table: str = 'data/t.csv'", PARAMETERS), "print(table)")
    (project.root / "data").mkdir(exist_ok=True)
    data = project.root / "data" / "t.csv"
    data.write_text("a")

    def job(**parameters: Any) -> Job:
        return project.job(project.step("told.ipynb"), parameters, RunOptions(reuse=True))

    assert "no earlier run" in _words(project, job())
    ran = project.run_job(job())
    assert explain_job(project, job()).answer == ran
    data.write_text("b")
    assert [each.component for each in explain_job(project, job()).differences] == ["input"]
    data.write_text("a")
    write(project.root / "told.ipynb", ("table: str = 'data/t.csv'", PARAMETERS), "print(table, 1)")
    assert [each.component for each in explain_job(project, job()).differences] == ["source"]
    again = project.run_job(job())
    assert [each.component for each in explain_run(project, again).differences] == ["source"]
    assert explain_run(project, ran).nearest is None
    settings = replace(job().step.settings, reuse=NO_REUSE)
    never = replace(job(), step=replace(job().step, settings=settings))
    assert explain_job(project, never).hindrances == ("the step's settings say: reuse = false",)


def _words(project: Project, job: Job) -> str:
    from nbprod.cli.commands.explain import _lines

    return "\n".join(_lines(explain_job(project, job)))


# --- rerun -----------------------------------------------------------------------------------------


def test_rerun_asks_for_the_same_even_if_the_notebook_has_changed(project: Project) -> None:
    counted = Counted(project, "again")
    ran = counted.run(5.0).raise_for_status()
    write(counted.path, "raise SystemExit('another notebook')")
    again = project.run_job(rerun_job(project, ran))
    assert (again.status, again.scraps["value"]) == (Status.SUCCEEDED, 10.0)
    assert again.record.request.digest == ran.record.request.digest
    assert project.home.ledger.run(again.id).retry_of == ran.id
    assert counted.times == 2


def test_a_flow_run_is_run_again_from_a_step_on(project: Project) -> None:
    first = Counted(project, "upstream")
    half = ("half: str = 'x/y'", PARAMETERS)
    write(project.root / "downstream.ipynb", half, "import scrapbook as sb\nsb.glue('half', float(open(half).read()))")
    write(project.root / "aside.ipynb", "print('nothing upstream')")
    flow = {"flow_run": "id-of-flow", "note": "Prefect flow run bold-ox (id-of-flow), task run x"}

    def run(name: str, parameters: dict[str, Any]) -> Run:
        return project.run_job(project.job(project.step(name), parameters, RunOptions(**flow)))

    up = first.run(8.0, **flow)
    aside = run("aside.ipynb", {})
    down = run("downstream.ipynb", {"half": up.artifacts["half.txt"]})
    flow_run = flow_run_of(project, "bold-ox")
    assert flow_run == flow_run_of(project, "id-of-flow") == "id-of-flow"
    assert flow_run_of(project, "no such flow") is None
    again = {each.before.id: each.now for each in rerun_flow_run(project, flow_run, project.run_job, first="upstream")}
    assert again[aside.id] is None
    new_up, new_down = again[up.id], again[down.id]
    assert new_up is not None
    assert new_down is not None
    assert new_down.parameters["half"].upstream.run == new_up.id
    assert new_down.scraps["half"] == 4.0
    kept = list(rerun_flow_run(project, flow_run, project.run_job, failed=True))
    assert [each.now for each in kept] == [None] * 3
    with pytest.raises(NotFound, match="no run of step 'other'"):
        list(rerun_flow_run(project, flow_run, project.run_job, first="other"))


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reuse"),
    [
        (False, NO_REUSE),
        (True, Reuse()),
        ("always", Reuse(mode=ReuseMode.ALWAYS)),
        ("10d", Reuse(longest=timedelta(days=10))),
        ("12h", Reuse(longest=timedelta(hours=12))),
    ],
)
def test_the_setting_is_read(value: object, reuse: Reuse) -> None:
    assert Reuse.parse(value, "reuse") == reuse
    assert str(reuse).startswith(str(reuse.mode))


@pytest.mark.parametrize("value", ["sometimes", "-1d", "0s", "", 3, None, 1.5])
def test_what_is_no_such_setting_is_refused(value: object) -> None:
    with pytest.raises(SettingsError, match='"always"'):
        Reuse.parse(value, "reuse")
