"""The example's flows on a real Prefect server, over a short window."""

from __future__ import annotations

import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from nbprod.ledger import RunQuery, RunRow
from nbprod.project import Project, Run
from nbprod.record.status import Status
from tests.processes import eventually

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ROOT / "flows"

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Prefect leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def runs(prefect_server, tmp_path_factory) -> Iterator[dict[str, Run]]:
    """Train on three weeks, then score the day after with that model; records go to a folder of the test's own."""
    from nbprod.flow.call import project_at

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBPROD_HOME", str(tmp_path_factory.mktemp("home")))
        from nbprod.flow import call

        call._project.cache_clear()
        train_flow = runpy.run_path(str(FLOWS / "train.py"))["train_flow"]
        score_flow = runpy.run_path(str(FLOWS / "score.py"))["score_flow"]
        trained = train_flow(start=date(2013, 2, 1), end=date(2013, 2, 21), valid_days=7)
        scored = score_flow(day=date(2013, 2, 22))
        yield {**trained, **{f"score/{step}": run for step, run in scored.items()}}
        project_at(ROOT).close()
        call._project.cache_clear()


def test_backfill_scores_each_day_with_the_last_good_model(runs):
    backfill_flow = runpy.run_path(str(FLOWS / "backfill.py"))["backfill_flow"]
    scored = backfill_flow(date(2013, 2, 22), date(2013, 2, 23))
    assert [run.scraps["day"] for run in scored] == ["2013-02-22", "2013-02-23"]
    models = {entry.run for run in scored for entry in run.record.request.inputs if entry.name == "model"}
    assert models == {runs["train"].id}
    # That day had a good record, which answers: it was not scored again.
    assert [run.status for run in scored] == [Status.CACHED, Status.SUCCEEDED]
    assert scored[0].record.of == runs["score/score"].id
    again = backfill_flow(date(2013, 2, 22), date(2013, 2, 23), model=f"nbprod:{runs['train'].id}/model.skops")
    assert {run.status for run in again} == {Status.CACHED}
    assert [run.record.of for run in again] == [scored[0].record.of, scored[1].id]


def test_a_killed_backfill_goes_on_where_it_stopped(runs):
    """Each notebook that had a good record when the flow's process was killed answers; the others are run."""
    first, last = date(2013, 2, 25), date(2013, 2, 26)
    project = Project.find(ROOT)

    def rows() -> list[RunRow]:
        return [row for row in project.home.ledger.runs(RunQuery()) if row.run_id not in earlier]

    earlier = {row.run_id for row in project.home.ledger.runs(RunQuery())}
    command = [sys.executable, str(FLOWS / "backfill.py"), "--from", str(first), "--to", str(last), "--at-once", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        # At least one day is done by then, and at least one is not.
        while not any(row.step == "score" and row.status is Status.SUCCEEDED for row in rows()):
            assert killed.poll() is None
            time.sleep(0.05)
        killed.kill()
    good = {row.run_id for row in rows() if row.status is Status.SUCCEEDED}
    assert eventually(lambda: all(row.status is not None for row in rows()), 60)  # closed by their keepers
    before = {row.run_id for row in rows()}
    # What ended well between the kill and the look is good, too.
    good |= {row.run_id for row in rows() if row.status is Status.SUCCEEDED}
    scored = runpy.run_path(str(FLOWS / "backfill.py"))["backfill_flow"](first, last)
    assert [run.scraps["day"] for run in scored] == [f"2013-02-{day}" for day in (25, 26)]
    after = [row for row in rows() if row.run_id not in before]
    assert {row.of for row in after if row.status is Status.CACHED} == good
    assert len(after) == 6
    assert sum(row.status is Status.SUCCEEDED for row in after) == 6 - len(good) > 0


def test_every_step_succeeded(runs):
    assert {name: run.status for name, run in runs.items()} == dict.fromkeys(runs, Status.SUCCEEDED)
    assert [name for name in runs if "/" not in name] == ["ingest", "features", "train", "evaluate", "report"]
    assert list(runs)[5:] == ["score/ingest", "score/features", "score/score"]


EDGES = {
    "features": {"ingest"},
    "train": {"features"},
    "evaluate": {"features", "train"},
    "report": {"ingest", "train", "evaluate"},
    "score/features": {"score/ingest"},
    "score/score": {"score/features", "train"},
}


@pytest.mark.parametrize("step", EDGES)
def test_upstream_artifacts_are_edges(runs, step):
    names = {run.id: name for name, run in runs.items()}
    assert {names[entry.run] for entry in runs[step].record.request.inputs if entry.run is not None} == EDGES[step]


@pytest.mark.parametrize("step", ["ingest", "features", "train", "evaluate", "report", "score/score"])
def test_the_contract_was_checked_and_holds(runs, step):
    contract = runs[step].record.verdict.contract
    assert contract
    assert all(line.met for line in contract)


def test_scraps_and_artifacts(runs):
    assert 0.6 <= runs["train"].scraps["auc"] < 0.9
    assert runs["evaluate"].scraps["auc"] == pytest.approx(runs["train"].scraps["auc"])
    assert runs["score/score"].scraps["day"] == "2013-02-22"
    assert runs["train"].artifacts["model.skops"].path().stat().st_size > 10_000
    assert runs["report"].artifacts["report.md"].path().read_text("utf-8").startswith("# Late arrivals")


def test_the_executed_notebook_is_at_hand(runs):
    for run in runs.values():
        assert run.notebook.is_file()
        assert run.notebook.name == f"{run.step}.ipynb"


def test_a_days_own_outcomes_are_not_known_when_it_is_scored(runs):
    assert runs["score/ingest"].parameters["outcomes_until"] == date(2013, 2, 21)
    assert runs["score/features"].scraps["still_to_come"] == runs["score/score"].scraps["rows"]
