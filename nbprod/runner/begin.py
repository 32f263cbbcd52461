"""The start of a run: what is known of it is written into its folder, then its start is committed."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from nbprod.ledger.events import RunStarted
from nbprod.record.ids import RunId
from nbprod.record.labels import Labels
from nbprod.runner.leases import LEASE_SECONDS
from nbprod.runner.ports import Ports
from nbprod.runner.prepare import Prepared
from nbprod.runner.signed import runner_key
from nbprod.runner.started import Started

__all__ = ["begin"]


def begin(
    prepared: Prepared, started: Started, ports: Ports, *, shared: bool = False, retry_of: RunId | None = None
) -> Started:
    """Write down what is known, so that anybody can close the run, and commit its start.

    Args:
        prepared: the run.
        started: what is known of it.
        ports: the outside world.
        shared: whether others wait for it who ask for the same.
        retry_of: the run that it tries again.

    Returns:
        What is known of it, with its labels.

    Raises:
        AlreadyUnderWay: it was to be shared, and another one is.
    """
    job, folder = prepared.job, prepared.folder
    runner_key(started.keys)  # while the kernel starts: what signs takes some ms to import, and a first key to make
    started = replace(started, labels=_labels(prepared, job.retry_of or retry_of))
    folder.prepared.write_text(json.dumps(prepared.plan.node), encoding="utf-8")
    home = {"store": ports.store.url, "ledger": ports.ledger.url, "collects": prepared.bound.collects}
    folder.started.write_text(json.dumps({**started.to_json(), "home": home}), encoding="utf-8")
    ports.ledger.append(
        RunStarted(
            at=started.at,
            run_id=started.run_id,
            step=started.request.step,
            notebook=started.request.notebook,
            request_digest=started.request.digest,
            parameters=started.request.parameters,
            user=started.user,
            host=started.host,
            runner_pid=os.getpid(),
            lease_seconds=LEASE_SECONDS,
            name=job.name,
            tags=job.tags,
            note=job.note,
            folder=str(folder.path),
            occasion=job.occasion,
            retry_of=job.retry_of or retry_of,
            flow_run=job.flow_run,
            reproduces=job.reproduces,
            shared=shared,
            caller=prepared.masker.mask_json(dict(job.caller)),  # made by a program
        )
    )
    return started


def _labels(prepared: Prepared, retry_of: RunId | None) -> Labels:
    """Return what the record will hold of what the caller says; words with a secret were refused (law 7)."""
    job = prepared.job
    return Labels(
        name=job.name,
        tags=job.tags,
        note=job.note,
        occasion=None if job.occasion is None else prepared.masker.mask_text(job.occasion),  # made by a program
        retry_of=retry_of,
        flow_run=job.flow_run,
        reproduces=job.reproduces,
    )
