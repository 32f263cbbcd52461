"""Score a day's flights with a trained model, before any of them has left."""

import sys
from datetime import date, timedelta

from prefect import flow

from nbprod.flow import notebook
from nbprod.project import Run

ingest = notebook("notebooks/ingest.ipynb", retries=2)
features = notebook("notebooks/features.ipynb")
score = notebook("notebooks/score.ipynb")

LATEST_MODEL = "nbprod:train@latest/model.skops"


@flow(name="score")
def score_flow(day: date, model: str = LATEST_MODEL, threshold: float = 0.3) -> dict[str, Run]:
    """Give each flight of `day` a probability of arriving late.

    The outcomes of the day itself are not known yet. `model` names an artifact: `nbprod:RUN/NAME`.
    """
    data = ingest(start=day, end=day, outcomes_until=day - timedelta(days=1))
    table = features(flights=data, outcomes=data, weather=data, planes=data)
    scored = score(day=day, features=table, model=model, threshold=threshold)
    return {run.step: run for run in (data, table, scored)}


if __name__ == "__main__":
    for run in score_flow(date.fromisoformat(sys.argv[1] if len(sys.argv) > 1 else "2013-04-01")).values():
        print(run, f"{run.seconds:.1f} s", run.notebook)
