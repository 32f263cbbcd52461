"""A run's artifacts as Prefect assets: told at the end of the task run, so that events show what came from what.

A key names the step and the file (`nbprod://train/model.skops`), not the run: an asset is made again each night.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from prefect.assets import Asset, AssetProperties
from prefect.context import AssetContext

from nbprod.project import ArtifactFile, Run

__all__ = ["asset_key", "note_assets"]

_UNFIT = re.compile(r"[^\w.\-/]")
"""What an asset's key may not hold, and a little more."""


def asset_key(step: str, artifact: str) -> str:
    """Return an artifact's key."""
    return f"nbprod://{_UNFIT.sub('-', step)}/{_UNFIT.sub('-', artifact)}"


def note_assets(run: Run) -> None:
    """Note what the run wrote, and from which artifacts, in the task run's asset context.

    Prefect emits the events itself when the task run has its final state. What it inherited from upstream task runs is
    replaced: the record knows which artifacts were read.
    """
    context = AssetContext.get()
    if context is None:
        return
    context.materialized_by = "nbprod"
    context.upstream_assets = {Asset(key=key) for key in _upstream(run)}
    for entry in run.record.artifacts:
        asset = Asset(
            key=asset_key(run.step, entry.name),
            properties=AssetProperties(name=entry.name, description=f"Written by step {run.step}, kept by nbprod."),
        )
        context.downstream_assets.add(asset)
        context.add_asset_metadata(
            asset.key, {"run": str(run.id), "digest": str(entry.digest), "size": entry.size, "status": str(run.status)}
        )
    context.update_tracked_assets()


def _upstream(run: Run) -> Iterator[str]:
    for value in run.parameters.values():
        if isinstance(value, ArtifactFile):
            step = run.home.ledger.run(value.upstream.run).step
            yield asset_key(step, value.name)
