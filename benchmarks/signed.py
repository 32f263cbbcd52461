"""A ledger with many signed runs, made of one real run by the code that closes runs; no other kernel is started.

Each has a record of its own in the store, signed, with its provenance, and the two events; a checkpoint covers all.
What a record names beside (notebook, journal, artifacts) is that of the one run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import nbformat

from nbprod.ledger.events import Event, RunFinished, RunStarted
from nbprod.ledger.ledger import StoredEvent
from nbprod.ledger.sql import SqlLedger
from nbprod.project import Project, Run, RunOptions
from nbprod.project.checkpoint import make_checkpoint
from nbprod.project.keys import init_keys
from nbprod.record.ids import RunId
from nbprod.runner.signed import keep_signed
from nbprod.store import open_store

__all__ = ["fill_signed", "one_run"]

_BATCH = 1000
CELLS = (
    "alpha: float = 0.5  # learning rate\ncarrier: str = 'UA'\noutput_dir = 'x'",
    "import scrapbook as sb\nsb.glue('auc', alpha / 2)\nsb.glue('rows', 1000)",
    "with open(output_dir + '/model.bin', 'wb') as model:\n    model.write(bytes(1000))",
)


def one_run(root: Path) -> tuple[Project, Run]:
    """Make a project whose log has keys of its own, and one run in it."""
    root.mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.nbprod]\nkeys = "keys"\n')
    cells = [nbformat.v4.new_code_cell(cell, id=f"cell-{number}") for number, cell in enumerate(CELLS)]
    cells[0].metadata["tags"] = ["parameters"]
    spec = {"name": "python3", "display_name": "python3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), root / "train.ipynb")
    project = Project.find(root, dict(os.environ))
    init_keys(project)
    return project, project.run_job(project.job(project.step("train.ipynb"), {}, RunOptions()))


def fill_signed(project: Project, run: Run, count: int) -> None:
    """Bring a ledger of one run to so many.

    Args:
        project: whose ledger, which nobody else uses.
        run: the one that the others are made of.
        count: how many there are to be.
    """
    ledger = project.home.ledger
    assert isinstance(ledger, SqlLedger)
    seq = max(stored.seq for stored in ledger.events())
    held: list[StoredEvent] = []
    for event in _events(project, run, count - 1):
        seq += 1
        held.append(StoredEvent(seq, event))
        if len(held) == _BATCH:
            ledger.restore(held)
            held = []
    ledger.restore(held)
    make_checkpoint(project)


def _events(project: Project, run: Run, count: int) -> Iterator[Event]:
    home = project.home
    store = open_store(home.store_url, base=home.root)
    begun, ended = (
        next(stored.event for stored in home.ledger.events(run.id) if isinstance(stored.event, kind))
        for kind in (RunStarted, RunFinished)
    )
    assert isinstance(begun, RunStarted)
    assert isinstance(ended, RunFinished)
    for number in range(count):
        start, finish = (at + timedelta(seconds=number + 1) for at in (begun.at, ended.at))
        record = replace(run.record, run_id=RunId.new(start, os.urandom(10)), started=start, finished=finish)
        data = record.to_bytes()
        digest = store.put(data)
        signed = keep_signed(record, data, digest, store, str(project.keys))
        yield replace(begun, run_id=record.run_id, at=start)
        yield replace(ended, run_id=record.run_id, at=finish, record=digest, attestation=signed)
