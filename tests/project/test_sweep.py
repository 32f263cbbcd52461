"""Sweeps as programs call them: what is refused, what is run, what is kept, and how they end."""

from __future__ import annotations

import _thread
import pickle
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbprod
from nbprod.errors import CallerError, EnvironmentFault, NotFound, ParameterError, RunNotSuccessful, StoreUnavailable
from nbprod.execution.cancel import CancelToken
from nbprod.ledger import RunQuery
from nbprod.parameters import Text
from nbprod.project import Project, RunOptions
from nbprod.project.sweep import Plan, plan_sweep, varying
from nbprod.project.swept import Point, Sweep
from nbprod.record.ids import RunId
from nbprod.record.status import Status
from tests.notebooks import PARAMETERS, project_in, write
from tests.processes import eventually, nothing_survives
from tests.telling import started

SETTINGS = """
[tool.nbprod.steps.secretive]
notebook = "secretive.ipynb"
secrets = ["NBPROD_TEST_TOKEN"]
"""
TOKEN = "hunter2-correct horse"
SQUARE = """
with open("count", "a") as count:
    count.write(f"{n} ")
if n == 2 and not __import__("pathlib").Path("lucky").exists():
    raise ValueError("no luck with two")
import scrapbook as sb
sb.glue("square", n * n)
"""
WAIT = """
import pathlib, time
with open("waited", "a") as waited:
    waited.write(f"{n} ")
while not pathlib.Path("release").exists():
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    with nothing_survives() as mark, project_in(root, mark, SETTINGS, {"NBPROD_TEST_TOKEN": TOKEN}) as project:
        write(root / "square.ipynb", ("n: int = 0\nscale: float = 1.0\ntitle: str = ''", PARAMETERS), SQUARE)
        write(root / "secretive.ipynb", ("n: int = 0\ntitle: str = ''", PARAMETERS), "n")
        write(root / "wait.ipynb", ("n: int = 0", PARAMETERS), WAIT)
        write(root / "typed.ipynb", ("a: int | float | str | bool | list = 0\nb = None", PARAMETERS), "pass")
        yield project


@pytest.fixture
def count(root: Path) -> Any:
    """What the notebooks have counted since the test began."""
    for name in ("count", "waited", "release", "lucky"):
        (root / name).unlink(missing_ok=True)
    return lambda name="count": sorted((root / name).read_text().split()) if (root / name).exists() else []


def planned(project: Project, rows: list[dict[str, Any]], step: str = "square.ipynb", **how: Any) -> Plan:
    return plan_sweep(project, project.step(project.root / step), rows, RunOptions(), **how)


def sweep(project: Project, notebook: str, *given: Any, **how: Any) -> Sweep:
    return nbprod.sweep(project.root / notebook, *given, project=project, **how)


# --- before anything starts -----------------------------------------------------------------------


def test_faults_are_told_once_and_with_their_settings(project):
    rows = [{"n": Text(n), "scale": Text(scale)} for n in ("0", "x") for scale in ("1", "2", "y")]
    with pytest.raises(ParameterError) as caught:
        planned(project, rows)
    first, second = caught.value.faults
    assert (first.parameter, first.expected, first.found) == ("scale", "float", "the text 'y'")
    assert first.hint == "in 2 of 6 settings, the first is number 3: n=0, scale=y"
    assert (second.parameter, second.hint) == ("n", "in 3 of 6 settings, the first is number 4: n=x, scale=1")


def test_a_fault_of_all_settings_names_none_and_very_many_are_counted(project):
    with pytest.raises(ParameterError) as caught:
        planned(project, [{"m": 1}, {"m": 2}])
    [fault] = caught.value.faults
    assert (fault.parameter, "in" in (fault.hint or "").split()) == ("m", False)
    with pytest.raises(ParameterError, match="And 5 more like these"):
        planned(project, [{"n": f"word {number}"} for number in range(25)])


def test_equal_settings_are_run_once_and_in_the_order_in_which_they_came(project):
    plan = planned(project, [{"scale": Text(text)} for text in ("1", "2", "1.0", "1e0", "3")])
    assert plan.repeated == 2
    assert [setting.values for setting in plan.settings] == [
        planned(project, [{"scale": value}]).settings[0].values for value in (1.0, 2.0, 3.0)
    ]
    assert [setting.number for setting in plan.settings] == [1, 2, 3]


values = st.integers() | st.floats() | st.text(max_size=5) | st.booleans() | st.lists(st.integers(), max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(values, min_size=1, max_size=4))
def test_a_key_tells_values_and_types_apart_and_no_order(project, several):
    rows = [{"a": value, "b": 1} for value in several]
    keys = [planned(project, [row], "typed.ipynb").settings[0].key for row in rows]
    turned = [planned(project, [dict(reversed(row.items()))], "typed.ipynb").settings[0].key for row in rows]
    assert keys == turned
    exact = [repr(value) for value in several]
    assert len(set(keys)) == len(set(exact))


def test_all_runs_have_the_tag_and_an_occasion_of_their_own(project):
    plan = planned(project, [{"n": 1}, {"n": 2}], name="mine")
    assert plan.tag == "sweep=mine"
    assert [setting.job.tags for setting in plan.settings] == [("sweep=mine",)] * 2
    assert len({setting.job.occasion for setting in plan.settings}) == 2
    assert planned(project, [{"n": 1}]).id != planned(project, [{"n": 1}]).id


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "x" * 65, "ü"])
def test_a_name_is_a_word(project, name):
    with pytest.raises(CallerError, match="cannot be called so"):
        planned(project, [{}], name=name)


def test_executed_notebooks_must_not_overwrite_each_other(project, tmp_path):
    rows = [{"n": 1, "scale": 1}, {"n": 1, "scale": 2}]
    with pytest.raises(CallerError, match="for settings 1 and 2"):
        planned(project, rows, output=str(tmp_path / "{n}.ipynb"))
    with pytest.raises(CallerError, match="its folder is not there"):
        planned(project, rows, output=str(tmp_path / "{scale}" / "{n}.ipynb"))
    plan = planned(project, rows, output=str(tmp_path / "{n}-{scale}.ipynb"))
    assert [setting.job.output for setting in plan.settings] == [tmp_path / "1-1.0.ipynb", tmp_path / "1-2.0.ipynb"]


@pytest.mark.parametrize(
    ("grid", "how", "says"),
    [
        ({"n": 3}, {}, "the values of n are no list"),
        ({"n": "abc"}, {}, "the values of n are no list"),
        ({"n": []}, {}, "no value for n"),
        ([], {}, "no rows"),
        ({"n": [1, 2], "scale": [1, 2, 3]}, {"zipped": True}, "n has 2, scale has 3"),
        ({"n": range(11)}, {"limit": 10}, "at most 10. Found: 11"),
        ({"n": [1]}, {"parameters": {"n": 2}}, "in `grid` and in `parameters`"),
        ({"n": [1]}, {"jobs": 0}, "jobs of 1 or more"),
        ({"n": [1]}, {"kernel": "no-such-kernel"}, "no-such-kernel"),
        ({"n": [1]}, {"cwd": "/no/such/folder"}, "is not there"),
    ],
)
def test_what_cannot_be_swept_is_refused(project, grid, how, says):
    before = project.home.has_ledger() and len(list(project.home.ledger.runs(RunQuery())))
    with pytest.raises(CallerError, match=says):
        sweep(project, "square.ipynb", grid, **how)
    assert (project.home.has_ledger() and len(list(project.home.ledger.runs(RunQuery())))) == before


def test_a_secret_in_any_setting_is_refused_before_all_and_not_shown(project):
    rows = [{"title": title} for title in (TOKEN[:3], f"is {TOKEN}!", "z")]
    with pytest.raises(CallerError, match="one in title, setting 2") as caught:
        planned(project, rows, "secretive.ipynb")
    assert TOKEN not in str(caught.value)
    assert len(planned(project, [rows[0], rows[2]], "secretive.ipynb").settings) == 2


def test_there_must_be_a_sweep_to_go_on_with(project):
    with pytest.raises(NotFound, match="no sweep of square has begun any of these"):
        planned(project, [{"n": 777}], resume=True)
    with pytest.raises(NotFound, match="there is no sweep nobody"):
        planned(project, [{"n": 777}], resume="nobody")


def test_what_varies_is_told_in_the_order_in_which_it_comes():
    assert varying([{"b": 1, "a": 1, "c": 1}, {"b": 2, "a": 1}]) == ("b", "c")
    assert varying([{"a": 1}]) == varying([]) == ()


# --- with kernels ---------------------------------------------------------------------------------


@pytest.mark.kernel
def test_one_that_fails_stops_nobody_and_resume_runs_just_that(project, root, count):
    heard: list[Point] = []
    swept = sweep(project, "square.ipynb", {"n": range(4)}, {"title": "x"}, jobs=2, hear=lambda p, e: heard.append(p))
    assert [point.state for point in swept.points] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert "no luck with two" in swept.points[2].reason
    assert not swept
    assert [point.number for point in swept.missing] == [3]
    assert [row["scrap.square"] for row in swept.to_dicts()] == [0, 1, None, 9]
    assert [row["parameter.n"] for row in swept.to_dicts()] == [0, 1, 2, 3]
    assert {row["parameter.title"] for row in swept.to_dicts()} == {"x"}
    assert {run.record.labels.tags for run in swept.runs} == {(f"sweep={swept.id}",)}
    assert all((run.record.labels.occasion or "").startswith(f"sweep {swept.id} ") for run in swept.runs)
    assert len(list(nbprod.runs(tags=[swept.tag], project=project))) == 4
    assert {point.state for point in heard} >= {"running", "succeeded", "failed"}
    assert pickle.loads(pickle.dumps(swept)) == swept
    with pytest.raises(RunNotSuccessful):
        swept.raise_for_status()

    (root / "lucky").write_text("")
    again = sweep(project, "square.ipynb", {"n": range(5)}, {"title": "x"}, jobs=2, resume=True)
    assert again.id == swept.id
    assert again.raise_for_status() is again
    assert count() == ["0", "1", "2", "2", "3", "4"]
    assert [point.kept for point in again.points] == [True, True, False, True, False]
    assert [point.run for point in again.points if point.kept] == [swept.points[place].run for place in (0, 1, 3)]
    assert again.points[2].run.record.labels.retry_of == swept.points[2].run.id


@pytest.mark.kernel
def test_what_is_kept_of_another_version_of_the_notebook_says_so(project, root, count):
    write(root / "changing.ipynb", ("n: int = 0", PARAMETERS), SQUARE)
    swept = sweep(project, "changing.ipynb", {"n": [1, 2]}, jobs=1, name="changes")
    assert [point.state for point in swept.points] == ["succeeded", "failed"]
    write(root / "changing.ipynb", ("n: int = 0", PARAMETERS), SQUARE.replace("n == 2", "n == 3"))
    again = sweep(project, "changing.ipynb", {"n": [1, 2]}, resume="sweep=changes")
    assert [(point.kept, point.older) for point in again.points] == [(True, True), (False, False)]
    assert again
    assert count() == ["1", "2", "2"]
    with pytest.raises(CallerError, match="one of another step"):
        sweep(project, "square.ipynb", {"n": [1]}, resume="changes")
    with pytest.raises(CallerError, match="there is a sweep changes already"):
        sweep(project, "changing.ipynb", {"n": [1]}, name="changes")


@pytest.mark.kernel
def test_fail_fast_starts_no_more(project, count):
    swept = sweep(project, "square.ipynb", {"n": [2, 3]}, jobs=1, fail_fast=True)
    assert [point.state for point in swept.points] == ["failed", "not_started"]
    assert count() == ["2"]


@pytest.mark.kernel
def test_what_nbprod_refuses_meanwhile_is_one_setting_s_fault(project, tmp_path):
    for n in range(3):
        (tmp_path / str(n)).mkdir()

    def hear(point: Point, _: object) -> None:
        if (point.number, point.state) == (1, "succeeded"):
            (tmp_path / "1").rmdir()

    swept = sweep(project, "secretive.ipynb", {"n": range(3)}, jobs=1, output=f"{tmp_path}/{{n}}/x.ipynb", hear=hear)
    assert [point.state for point in swept.points] == ["succeeded", "refused", "succeeded"]
    assert "its folder is not there" in swept.points[1].reason
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["x.ipynb", "x.ipynb"]
    assert pickle.loads(pickle.dumps(swept)).points[1].state == "refused"
    with pytest.raises(RunNotSuccessful, match="setting 2 of sweep"):
        swept.raise_for_status()


@pytest.mark.kernel
def test_a_sweep_is_cancelled_truly_and_nobody_else_runs_it_meanwhile(project, count):
    token, done = CancelToken(), []

    def work() -> None:
        done.append(sweep(project, "wait.ipynb", {"n": range(3)}, jobs=2, name="long", cancel=token))

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(lambda: len(count("waited")) == 2, 60)
    with pytest.raises(CallerError, match="sweep long is under way"):
        sweep(project, "wait.ipynb", {"n": range(3)}, resume="long")
    token.cancel("enough")
    thread.join(60)
    token.close()
    [swept] = done
    assert [point.state for point in swept.points] == ["cancelled", "cancelled", "not_started"]
    assert "enough" in swept.points[0].reason
    assert count("waited") == ["0", "1"]


@pytest.mark.kernel
def test_ctrl_c_in_the_calling_program_ends_the_runs_and_then_it_goes_on(project, count):
    def interrupt() -> None:
        assert eventually(lambda: len(count("waited")) == 1, 60)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        sweep(project, "wait.ipynb", {"n": [10, 11]}, jobs=1, name="interrupted")
    thread.join()
    [row] = project.home.ledger.runs(RunQuery(tags=("sweep=interrupted",)))
    assert row.status is Status.CANCELLED


@pytest.mark.kernel
def test_a_run_that_goes_on_elsewhere_is_waited_for_and_not_started_again(project, root, count):
    plan = planned(project, [{"n": 20}], "wait.ipynb", name="shared")
    thread = threading.Thread(target=project.run_job, args=(plan.settings[0].job,))  # as another process would
    thread.start()
    assert eventually(lambda: count("waited") == ["20"], 60)
    states: list[tuple[int, str]] = []

    def hear(point: Point, _: object) -> None:
        states.append((point.number, point.state))
        if (1, "running") in states and (2, "running") in states:
            (root / "release").write_text("")

    swept = sweep(project, "wait.ipynb", {"n": [20, 21]}, jobs=2, resume="shared", hear=hear)
    thread.join()
    assert [(point.state, point.kept) for point in swept.points] == [("succeeded", True), ("succeeded", False)]
    assert count("waited") == ["20", "21"]

    fresh = sweep(project, "wait.ipynb", {"n": [20]})  # the control: another sweep runs it again
    assert (fresh.points[0].kept, count("waited")) == (False, ["20", "20", "21"])


@pytest.mark.kernel
def test_artifacts_of_one_sweep_are_values_of_the_next(project, root):
    declared = ("from pathlib import Path\nn: int = 0\noutput_dir: Path = Path('.')", PARAMETERS)
    write(root / "makes.ipynb", declared, "(output_dir / 'n.txt').write_text(str(n % 2))")
    glue = "import scrapbook as sb\nsb.glue('text', data.read_text())"
    write(root / "reads.ipynb", ("from pathlib import Path\ndata: Path", PARAMETERS), glue)
    made = sweep(project, "makes.ipynb", {"n": range(3)}, jobs=2).raise_for_status()
    files = [run.artifacts["n.txt"] for run in made.runs]
    read = sweep(project, "reads.ipynb", {"data": files}, name="reads", jobs=2).raise_for_status()
    assert [(row["parameter.data"], row["scrap.text"]) for row in read.to_dicts()] == [
        (f"nbprod:{run.id}/n.txt", str(n))
        for n, run in enumerate(made.runs[:2])  # the third one's bytes are the first's
    ]
    texts = [{"data": Text(f"nbprod:{run.id.short}/n.txt")} for run in made.runs]
    again = planned(project, texts, "reads.ipynb", resume="reads")
    assert all(again.kept(setting) for setting in again.settings)


@pytest.mark.kernel
def test_nobody_waits_for_a_runner_that_has_vanished(project, count):
    job = planned(project, [{"n": 30}], name="lost").settings[0].job
    lost = RunId.new(datetime.now(UTC), bytes(10))
    project.home.ledger.append(
        started(lost, step="square", tags=job.tags, occasion=job.occasion, lease_seconds=0.001, host="elsewhere")
    )
    swept = sweep(project, "square.ipynb", {"n": [30]}, resume="lost")
    assert [(point.state, point.kept) for point in swept.points] == [("succeeded", False)]
    assert count() == ["30"]


@pytest.mark.kernel
def test_a_store_that_fails_stops_the_sweep_and_is_raised(tmp_path, count):
    with nothing_survives() as mark, project_in(tmp_path, mark) as project:
        write(tmp_path / "one.ipynb", ("n: int = 0", PARAMETERS), "n")
        seen: list[tuple[int, str]] = []

        def hear(point: Point, event: object) -> None:
            if event is None:
                seen.append((point.number, point.state))
            if point.state == "succeeded":
                store = tmp_path / ".nbprod" / "store"
                store.rename(tmp_path / "gone")
                store.write_text("no folder any more")

        with pytest.raises(StoreUnavailable):
            nbprod.sweep(tmp_path / "one.ipynb", {"n": range(3)}, jobs=1, hear=hear, project=project)
        assert (1, "succeeded") in seen
        assert not any(number == 3 for number, _ in seen)


@pytest.mark.kernel
def test_a_run_whose_notebook_cannot_be_left_keeps_its_record_and_stops_the_sweep(project, tmp_path):
    out, seen = tmp_path / "out", {}

    def hear(point: Point, _: object) -> None:
        seen[point.number] = point
        if point.state == "running":
            shutil.rmtree(out, ignore_errors=True)

    out.mkdir()
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        sweep(project, "secretive.ipynb", {"n": range(2)}, jobs=1, output=f"{out}/{{n}}.ipynb", hear=hear)
    assert seen.keys() == {1}
    assert (seen[1].state, isinstance(seen[1].error, EnvironmentFault)) == ("succeeded", True)
