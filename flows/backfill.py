"""Score a range of days, several at once; what has a good record answers, and is not run again."""

import argparse
from collections.abc import Iterator
from datetime import date, timedelta

from prefect import flow, unmapped
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from nbprod.flow import notebook
from nbprod.project import Run

ingest = notebook("notebooks/ingest.ipynb", retries=2)
features = notebook("notebooks/features.ipynb")
score = notebook("notebooks/score.ipynb")

LATEST_MODEL = "nbprod:train@latest/model.skops"
AT_ONCE = 4


@flow(name="backfill", task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE))
def backfill_flow(first: date, last: date, model: str = LATEST_MODEL) -> list[Run]:
    """Score each day from `first` to `last`, as if on its morning. A day that fails does not stop the others.

    Called again, it goes on where it stopped: a day that was scored from the same data by the same notebooks with the
    same model is answered by that run, with status `cached`.
    """
    days = list(days_of(first, last))
    mornings = [day - timedelta(days=1) for day in days]
    data = ingest.map(start=days, end=days, outcomes_until=mornings)
    tables = features.map(flights=data, outcomes=data, weather=data, planes=data)
    scores = score.map(day=days, features=tables, model=unmapped(model))
    wait(scores)
    return [scored.result() for scored in scores]


def days_of(first: date, last: date) -> Iterator[date]:
    """Yield the days from `first` to `last`, both included."""
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2013, 4, 1))
    parser.add_argument("--to", dest="last", type=date.fromisoformat, default=date(2013, 4, 3))
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many notebooks at once")
    options = parser.parse_args()
    runner = ThreadPoolTaskRunner(max_workers=options.at_once)
    for run in backfill_flow.with_options(task_runner=runner)(options.first, options.last):
        print(run, f"{run.seconds:.1f} s", run.scraps["day"], run.notebook)
