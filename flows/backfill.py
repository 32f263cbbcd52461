"""Score a range of days, several at once; a day that has a good record is not scored again."""

import argparse
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from prefect import flow, unmapped
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

import nbprod
from nbprod.flow import notebook
from nbprod.project import Project, Run, RunOptions

ingest = notebook("notebooks/ingest.ipynb", retries=2)
features = notebook("notebooks/features.ipynb")
score = notebook("notebooks/score.ipynb")

PROJECT = Project.find(Path(__file__).parent)
LATEST_MODEL = "nbprod:train@latest/model.skops"
AT_ONCE = 4


@flow(name="backfill", task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE))
def backfill_flow(first: date, last: date, model: str = LATEST_MODEL) -> list[Run]:
    """Score each day from `first` to `last`, as if on its morning. A day that fails does not stop the others.

    Called again, it goes on where it stopped: days that were scored with the same model keep their record.
    """
    there = {day: run for day in days_of(first, last) if (run := good_run(day, model)) is not None}
    days = [day for day in days_of(first, last) if day not in there]
    mornings = [day - timedelta(days=1) for day in days]
    data = ingest.map(start=days, end=days, outcomes_until=mornings)
    tables = features.map(flights=data, outcomes=data, weather=data, planes=data)
    scores = score.map(day=days, features=tables, model=unmapped(model))
    wait(scores)
    there.update(zip(days, (scored.result() for scored in scores), strict=True))
    return [there[day] for day in sorted(there)]


def days_of(first: date, last: date) -> Iterator[date]:
    """Yield the days from `first` to `last`, both included."""
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def good_run(day: date, model: str) -> Run | None:
    """Return the last good run that scored a day with this notebook and the same bytes of a model, if there is one."""
    job = PROJECT.job(PROJECT.step("score"), {"day": day, "model": model}, RunOptions())
    wanted = job.upstream.get("model")
    if wanted is None:
        return None  # a file of one's own: nothing is known of it until it runs
    for run in nbprod.runs("score", status="succeeded", where=[f'params.day="{day}"'], project=PROJECT):
        asked = run.record.request
        models = {entry.digest for entry in asked.inputs if entry.name == "model"}
        if asked.source == job.step.source and wanted.digest in models:
            return run
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2013, 4, 1))
    parser.add_argument("--to", dest="last", type=date.fromisoformat, default=date(2013, 4, 3))
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many notebooks at once")
    options = parser.parse_args()
    runner = ThreadPoolTaskRunner(max_workers=options.at_once)
    for run in backfill_flow.with_options(task_runner=runner)(options.first, options.last):
        print(run, f"{run.seconds:.1f} s", run.scraps["day"], run.notebook)
