"""Notebook tasks as Prefect sees them; no kernel and no server."""

from __future__ import annotations

import inspect
import subprocess
import sys
from datetime import date
from pathlib import Path

import cloudpickle
import prefect
import pytest

from nbprod.errors import CallerError, NotFound, ParameterError
from nbprod.flow import NotebookTask, notebook
from nbprod.flow.arguments import Omitted, given
from nbprod.project import Project
from nbprod.project.published import publish_step


@pytest.fixture
def task(project: Path, write) -> NotebookTask:
    write("fit", "from datetime import date\nday: date = date(2013, 1, 1)\nalpha: float = 0.5  # step size", ["1"])
    return notebook("notebooks/fit.ipynb", root=project, retries=2, timeout_seconds=30)


def test_is_a_task(task):
    assert isinstance(task, prefect.Task)
    assert (task.name, task.retries) == ("fit", 2)


def test_signature_is_the_schema(task):
    parameters = inspect.signature(task).parameters
    assert list(parameters) == ["day", "alpha", "parameters"]
    assert parameters["day"].annotation is date
    assert parameters["day"].default == date(2013, 1, 1)
    assert parameters["alpha"].default == 0.5


def test_deadline_is_not_prefects(task):
    assert task.timeout_seconds is None
    assert task.fn.ordered.options.timeout == 30


def test_with_options_stays_a_notebook_task(task):
    other = task.with_options(name="other", retries=5, timeout_seconds=7, tags=["x"], persist_result=True)
    assert type(other) is NotebookTask
    assert (other.name, other.retries, other.tags, other.timeout_seconds) == ("other", 5, {"x"}, None)
    assert other.fn.ordered.options.timeout == 7
    assert task.fn.ordered.options.timeout == 30  # the first one is as it was
    assert inspect.signature(other) == inspect.signature(task)
    assert other.task_key == task.task_key
    plain = prefect.Task.with_options(task, name="other")  # the control: this is what Prefect makes of it
    assert type(plain) is not NotebookTask


@pytest.mark.parametrize("option", ["cache_policy", "cache_key_fn", "cache_expiration", "result_storage_key"])
def test_prefects_cache_is_refused(project, task, option):
    with pytest.raises(CallerError, match=option):
        task.with_options(**{option: "x"})
    with pytest.raises(CallerError, match=option):
        notebook("notebooks/fit.ipynb", root=project, **{option: "x"})


def test_prefects_cache_is_off(task):
    from prefect.cache_policies import NO_CACHE

    assert task.cache_policy is NO_CACHE
    assert task.with_options(persist_result=True).cache_policy is NO_CACHE


def test_task_keys_differ(project, task, write):
    write("other", "alpha: float = 0.5", ["1"])
    assert notebook("notebooks/other.ipynb", root=project).task_key != task.task_key


def test_pickles(task):
    other = cloudpickle.loads(cloudpickle.dumps(task))
    assert type(other) is NotebookTask
    assert other.fn.ordered == task.fn.ordered
    assert inspect.signature(other) == inspect.signature(task)


def test_run_is_named_after_step_and_what_was_given(task):
    bound = {"day": date(2013, 4, 1), "alpha": Omitted(0.5), "parameters": Omitted(None)}
    assert task.fn.name_of_run(parameters=bound) == "fit(day=2013-04-01)"
    assert task.fn.name_of_run(parameters={"alpha": Omitted(0.5)}) == "fit"
    assert len(task.fn.name_of_run(parameters={f"x{n}": "long " * 20 for n in range(20)})) < 200


def test_defaults_are_not_given():
    assert given({"alpha": Omitted(0.5), "parameters": Omitted(None)}, "fit") == {}


def test_reserved_names_go_in_parameters(project, write):
    write("odd", "wait_for: int = 1\nreturn_state: bool = False\nself: int = 0\nalpha: int = 1", ["1"])
    task = notebook("notebooks/odd.ipynb", root=project)
    assert list(inspect.signature(task).parameters) == ["alpha", "parameters"]
    assert given({"alpha": 2, "parameters": {"wait_for": 3}}, "odd") == {"alpha": 2, "wait_for": 3}


def test_a_name_given_twice_is_refused():
    with pytest.raises(CallerError, match="twice"):
        given({"alpha": 1, "parameters": {"alpha": 2}}, "fit")
    with pytest.raises(CallerError, match="mapping"):
        given({"parameters": 3}, "fit")


def test_parameters_do_not_fit(task):
    with pytest.raises(ParameterError, match="alpha: expected float"):
        task.fn(alpha="x")
    with pytest.raises(prefect.exceptions.ParameterBindError, match="beta"):
        task(beta=1)


def test_no_such_notebook(project):
    with pytest.raises(NotFound, match="missing"):
        notebook("notebooks/missing.ipynb", root=project)


def test_paths_start_at_the_calling_files_project(project, write):
    write("fit", "alpha: float = 0.5", ["1"])
    flow_file = project / "flows" / "train.py"
    flow_file.parent.mkdir()
    code = "from nbprod.flow import notebook\ntask = notebook('notebooks/fit.ipynb')\n"
    names = {"__file__": str(flow_file)}
    exec(compile(code, str(flow_file), "exec"), names)
    assert names["task"].fn.ordered.root == project


FRESH = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "sqlite3.connect", "subprocess.Popen", "os.fork"):
        raise SystemExit(f"touched: {event} {args}")
sys.addaudithook(refuse)
from nbprod.flow import notebook
task = notebook("notebooks/fit.ipynb", root=sys.argv[1]).with_options(retries=1)
print(task.name)
"""


def test_making_a_task_touches_no_ledger_and_no_server(project, task, tmp_path):
    def fresh(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, str(project)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    done = fresh(FRESH)
    assert (done.returncode, done.stdout.strip()) == (0, "fit"), done.stderr
    assert not (project / ".nbprod").exists()
    touching = FRESH.partition("from nbprod")[0] + "import socket\nsocket.create_connection(('127.0.0.1', 9))"
    assert "touched" in fresh(touching).stderr  # the control


def test_a_published_step_is_a_task_as_it_was_frozen(project, write):
    write("frozen", "alpha: int = 1", [])
    made = Project.find(project)
    publish_step(made, "notebooks/frozen.ipynb", alias="production")
    write("frozen", "beta: int = 1", [])
    names = [
        [*inspect.signature(notebook(name, root=project)).parameters]
        for name in ("frozen@1", "frozen@production", "notebooks/frozen.ipynb")
    ]
    assert names == [["alpha", "parameters"], ["alpha", "parameters"], ["beta", "parameters"]]
    made.home.ledger.close()
