"""Train and report: from a window of days to a model that a person can judge."""

from datetime import date

from prefect import flow

from nbprod.flow import notebook
from nbprod.project import Run

ingest = notebook("notebooks/ingest.ipynb", retries=2)
features = notebook("notebooks/features.ipynb")
train = notebook("notebooks/train.ipynb")
evaluate = notebook("notebooks/evaluate.ipynb")
report = notebook("notebooks/report.ipynb")

TABLES = ("flights", "outcomes", "weather", "planes")


@flow(name="train")
def train_flow(start: date = date(2013, 1, 1), end: date = date(2013, 3, 31), valid_days: int = 14) -> dict[str, Run]:
    """Train on the flights from `start` to `end`, and measure the model on the last `valid_days` of them."""
    data = ingest(start=start, end=end)
    table = features(**{name: data.artifacts[f"{name}.parquet"] for name in TABLES})
    features_file = table.artifacts["features.parquet"]
    model = train(features=features_file, valid_days=valid_days)
    metrics = evaluate(
        features=features_file, model=model.artifacts["model.skops"], train_metrics=model.artifacts["metrics.json"]
    )
    page = report(
        metrics=metrics.artifacts["metrics.json"],
        metrics_by_group=metrics.artifacts["metrics_by_group.parquet"],
        model=model.artifacts["model.skops"],
        airlines=data.artifacts["airlines.parquet"],
    )
    return {run.step: run for run in (data, table, model, metrics, page)}


if __name__ == "__main__":
    for run in train_flow().values():
        print(run, f"{run.seconds:.1f} s", run.notebook)
