"""Sixteen processes ask for the same run at once: one executes it, and it answers for all, whatever its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import KernelUnavailable
from nbprod.ledger import RunQuery
from nbprod.project import Project, RunOptions
from nbprod.record.status import Status
from tests.notebooks import project_in, write
from tests.postgres import PostgresServer
from tests.processes import eventually, nothing_survives

pytestmark = pytest.mark.kernel

MANY = 16
WORK = """
import os, time
with open("count", "a") as count:
    count.write("x")
while not os.path.exists("told/release"):
    time.sleep(0.02)
assert open("fate").read() == "good"
"""


@pytest.fixture
def crowd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A project with a notebook that counts how often it is run, and ends when it is told to."""
    environ = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        environ["NBPROD_LEDGER"] = server.url(server.database())
    with nothing_survives() as mark, project_in(tmp_path, mark, environ=environ) as project:
        write(tmp_path / "crowd.ipynb", WORK)
        (tmp_path / "told").mkdir()
        (tmp_path / "count").write_text("")
        (tmp_path / "fate").write_text("good")
        project.foresee(project.job(project.step("crowd.ipynb"), {}, RunOptions()))  # the environment is known now
        yield project


def asked(project: Project, count: int, how: str) -> list[dict[str, Any]]:
    """Return what each of so many processes got; with reuse, the run goes on until all others wait for it."""
    told = project.root / "told"

    def all_there(what: str, number: int) -> bool:
        return eventually(lambda: len(list(told.glob(f"{what} *"))) == number or process.poll() is not None, 60)

    command = [sys.executable, str(Path(__file__).with_name("single_flight.py")), str(project.root), str(told)]
    environ = {**os.environ, **project.environ}
    with subprocess.Popen([*command, str(count), how], env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            all_there("ready", count)
            (told / "go").touch()
            if how == "reuse":
                assert all_there("waits", count - 1)
        finally:
            (told / "release").touch()
        _, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems[-4000:]
    return [json.loads(path.read_text()) for path in told.glob("answer *")]


def executions(project: Project) -> int:
    return len((project.root / "count").read_text())


TORTURE = pytest.mark.torture
"""Each ledger and each ending once in the suite; the other pairs tell little more, and take ten seconds each."""


@pytest.mark.parametrize("crowd", ["sqlite", pytest.param("postgresql", marks=TORTURE)], indirect=True)
def test_one_executes_and_fifteen_are_answered(crowd: Project) -> None:
    answers = asked(crowd, MANY, "reuse")
    assert executions(crowd) == 1
    (ran,) = [answer["id"] for answer in answers if answer["status"] == "succeeded"]
    assert Counter((answer["status"], answer["of"]) for answer in answers) == {
        ("succeeded", None): 1,
        ("cached", ran): MANY - 1,
    }
    assert len({answer["id"] for answer in answers}) == MANY
    assert Counter(row.status for row in crowd.home.ledger.runs(RunQuery())) == {
        Status.SUCCEEDED: 1,
        Status.CACHED: MANY - 1,
    }


@pytest.mark.parametrize("crowd", [pytest.param("sqlite", marks=TORTURE), "postgresql"], indirect=True)
def test_if_the_one_fails_all_have_that_failure(crowd: Project) -> None:
    (crowd.root / "fate").write_text("bad")
    answers = asked(crowd, MANY, "reuse")
    assert executions(crowd) == 1
    assert Counter(answer["status"] for answer in answers) == {"failed": MANY}
    assert len({answer["id"] for answer in answers}) == 1
    assert [row.status for row in crowd.home.ledger.runs(RunQuery())] == [Status.FAILED]


@pytest.mark.parametrize("crowd", ["sqlite"], indirect=True)
def test_without_reuse_each_executes(crowd: Project) -> None:
    """The control: nothing else than the sharing keeps them from it."""
    answers = asked(crowd, 3, "alone")
    assert executions(crowd) == 3
    assert Counter((answer["status"], answer["of"]) for answer in answers) == {("succeeded", None): 3}


@pytest.mark.parametrize("crowd", ["sqlite"], indirect=True)
def test_a_shared_run_whose_kernel_cannot_be_launched_ends_as_crashed(
    crowd: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start is committed before: nobody may wait for it."""

    def no_kernel(*_: object, **__: object) -> None:
        raise KernelUnavailable("there is no room for its sockets")

    job = crowd.job(crowd.step("crowd.ipynb"), {}, RunOptions(reuse=True))
    (crowd.root / "told" / "release").touch()
    with monkeypatch.context() as patch:
        patch.setattr("nbprod.runner.run.launch", no_kernel)
        with pytest.raises(KernelUnavailable, match="no room"):
            crowd.run_job(job)
    (row,) = crowd.home.ledger.runs(RunQuery())
    assert (row.status, "no room for its sockets" in (row.reason or "")) == (Status.CRASHED, True)
    assert crowd.run(str(row.run_id)).notebook.is_file()
    assert crowd.run_job(job).status is Status.SUCCEEDED
