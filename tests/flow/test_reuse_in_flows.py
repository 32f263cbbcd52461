"""In flows an earlier run answers, and a retry finds the run that it repeats."""

from __future__ import annotations

import pytest
from prefect import flow
from prefect.states import Failed

from nbprod.flow import call, notebook
from nbprod.flow.states import result_of
from nbprod.ledger import RunQuery
from nbprod.project import Project
from nbprod.record.status import Status

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

TOKEN = ["import secrets, scrapbook as sb\nsb.glue('token', secrets.token_hex(8) + str(alpha))"]


@pytest.fixture
def token(project, write):
    write("token", "alpha: int = 1", TOKEN)
    return notebook("notebooks/token.ipynb", root=project, retries=1)


def test_the_second_flow_run_is_answered_by_the_first(token, project):
    @flow
    def nightly(alpha: int):
        return token(alpha=alpha, return_state=True)

    first, second, other = nightly(1), nightly(1), nightly(2)
    assert [state.name for state in (first, second, other)] == ["Completed", "Cached", "Completed"]
    runs = [result_of(state) for state in (first, second)]
    assert runs[1].record.of == runs[0].id
    assert runs[1].scraps["token"] == runs[0].scraps["token"]


@pytest.mark.parametrize("how", ["argument", "environment", "setting"])
def test_whoever_says_no_is_heeded(token, project, monkeypatch, how):
    task = token
    if how == "argument":
        task = notebook("notebooks/token.ipynb", root=project, reuse=False)
    elif how == "environment":
        monkeypatch.setenv("NBPROD_REUSE", "0")
    else:
        settings = '[tool.nbprod.steps.token]\nnotebook = "notebooks/token.ipynb"\nreuse = false\n'
        (project / "pyproject.toml").write_text(f"[tool.nbprod]\n{settings}")
        call._project.cache_clear()
        task = notebook("token", root=project)

    @flow
    def nightly():
        return [task(alpha=7), task(alpha=7)]

    first, second = nightly()
    assert first.id != second.id
    assert {first.status, second.status} == {Status.SUCCEEDED}


def test_a_retry_of_a_run_that_succeeded_finds_it(token, project, monkeypatch):
    """Prefect's API was down when the run's success was to be told."""
    told = []

    def lost_once(run, interrupt=None):
        told.append(run)
        return Failed(message="the success was not heard") if len(told) == 1 else outcome_of(run, interrupt)

    outcome_of = call.outcome_of
    monkeypatch.setattr(call, "outcome_of", lost_once)
    task = notebook("notebooks/token.ipynb", root=project, retries=1, reuse=False)

    @flow
    def nightly():
        return task(alpha=11)

    run = nightly()
    assert [each.id for each in told] == [run.id, run.id]
    assert len(list(Project.find(project).runs(RunQuery()))) == 1


def test_equal_calls_of_one_flow_run_are_two_runs(token, project):
    task = notebook("notebooks/token.ipynb", root=project, reuse=False)

    @flow
    def nightly():
        return [future.result() for future in task.map(alpha=[1, 1])]

    first, second = nightly()
    assert first.id != second.id
    assert first.scraps["token"] != second.scraps["token"]


def test_a_retry_of_a_run_that_failed_is_a_run_of_its_own_and_linked(project, write):
    write(
        "flaky",
        "marker: str = ''",
        ["import os\nif not os.path.exists(marker):\n    open(marker, 'w').close()\n    1 / 0"],
    )
    task = notebook("notebooks/flaky.ipynb", root=project, retries=1)

    @flow
    def nightly():
        return task(marker=str(project / "marker"))

    good = nightly()
    made = Project.find(project)
    rows = {run.status: made.home.ledger.run(run.id) for run in made.runs(RunQuery())}
    assert rows[Status.SUCCEEDED].run_id == good.id
    assert rows[Status.SUCCEEDED].retry_of == rows[Status.FAILED].run_id
    assert rows[Status.SUCCEEDED].flow_run == rows[Status.FAILED].flow_run
