"""Every ledger there is, each with a way to let time pass."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nbprod.ledger import Ledger, open_ledger
from nbprod.record.ids import RunId
from nbprod.record.status import Status
from tests.postgres import PostgresServer
from tests.telling import START, finished, started


@dataclass
class Told:
    """A ledger, and short ways to tell it things; each run starts a second after the one before."""

    ledger: Ledger
    sleep: Callable[[float], None]
    count: int = 0

    def start(self, *, run_id: RunId | None = None, **fields: Any) -> RunId:
        self.count += 1
        at = START + timedelta(seconds=self.count)
        run_id = run_id or RunId.new(at, os.urandom(10))
        self.ledger.append(started(run_id, at=at, **fields))
        return run_id

    def finish(self, run_id: RunId, status: Status = Status.SUCCEEDED, **fields: Any) -> RunId:
        at = self.ledger.run(run_id).started + timedelta(minutes=1)
        self.ledger.append(finished(run_id, status, at=at, **fields))
        return run_id


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def template(postgres: PostgresServer) -> str:
    """A database with the ledger's schema, to be copied."""
    name = postgres.database()
    open_ledger(postgres.url(name)).close()
    return name


@pytest.fixture
def url(postgres: PostgresServer, template: str) -> Iterator[str]:
    """The address of an empty ledger on PostgreSQL."""
    name = postgres.database(template)
    yield postgres.url(name)
    postgres.query(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    clock = Clock()
    if request.param == "postgresql":
        ledger = open_ledger(request.getfixturevalue("url"), clock=clock)
        yield Told(ledger, time.sleep)
        ledger.close()
        return
    if request.param == "memory":
        yield Told(open_ledger("memory://", clock=clock), clock.sleep)
        return
    ledger = open_ledger(str(tmp_path / "ledger {} ü%20.db"), clock=clock)
    yield Told(ledger, time.sleep)
    ledger.close()


@pytest.fixture
def ledger(told: Told) -> Ledger:
    return told.ledger
