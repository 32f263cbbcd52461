"""Score a range of days, several at once."""

import argparse
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


@flow(name="backfill", task_runner=ThreadPoolTaskRunner(max_workers=4))
def backfill_flow(first: date, last: date, model: str = LATEST_MODEL) -> list[Run]:
    """Score each day from `first` to `last`, as if on its morning. A day that fails does not stop the others."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    mornings = [day - timedelta(days=1) for day in days]
    data = ingest.map(start=days, end=days, outcomes_until=mornings)
    tables = features.map(flights=data, outcomes=data, weather=data, planes=data)
    scores = score.map(day=days, features=tables, model=unmapped(model))
    wait(scores)
    return [scored.result() for scored in scores]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2013, 4, 1))
    parser.add_argument("--to", dest="last", type=date.fromisoformat, default=date(2013, 4, 3))
    options = parser.parse_args()
    for run in backfill_flow(options.first, options.last):
        print(run, f"{run.seconds:.1f} s", run.scraps["day"], run.notebook)
