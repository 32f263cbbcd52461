"""Tombstones stand in every ledger, and are found again for their run."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from conftest import Told

from nbprod.digest import Digest, digest_bytes
from nbprod.errors import NotFound
from nbprod.ledger.audit import audit
from nbprod.ledger.erasures import erasure_of, erasures
from nbprod.ledger.events import BytesErased
from nbprod.record.ids import RunId
from nbprod.record.tombstone import ErasedObject, Tombstone
from tests.telling import DIGEST, START

GONE = ErasedObject(name="artifact people.csv", digest=digest_bytes(b"people"), size=6)
LOST = ErasedObject(name="journal", digest=digest_bytes(b"journal"), size=7, there=False)
STATEMENT = digest_bytes(b"statement")


def stone(run_id: RunId, *objects: ErasedObject) -> BytesErased:
    at = START + timedelta(days=3)
    return BytesErased.of(Tombstone(run_id=run_id, at=at, by="ada", why="request 17", objects=objects), STATEMENT)


def test_a_tombstone_is_kept_beside_the_verdict(told: Told) -> None:
    ledger, run_id, other = told.ledger, told.finish(told.start()), told.finish(told.start())
    before = ledger.run(run_id)
    event = stone(run_id, GONE, LOST)
    ledger.append(event)
    assert erasures(ledger, run_id) == (event,)
    assert erasures(ledger, other) == ()
    assert ledger.run(run_id) == before
    found = erasure_of(ledger, run_id, GONE.digest)
    assert found is not None
    assert str(found) == "artifact people.csv was erased on 2026-01-04 12:30:15 UTC by ada, because: request 17"
    error = found.error()
    assert (error.by, error.why, error.digest) == ("ada", "request 17", str(GONE.digest))
    assert erasure_of(ledger, other, GONE.digest) is None
    assert erasure_of(ledger, run_id, LOST.digest) is None  # it was lost before: no tombstone covers that up


def test_the_audit_hears_of_the_statement(told: Told) -> None:
    run_id = told.finish(told.start())
    told.ledger.append(stone(run_id, GONE))
    named: dict[Digest, str] = {}
    assert audit(told.ledger, named.__setitem__).faults == []
    assert named == {DIGEST: f"run {run_id}", STATEMENT: f"the tombstone of run {run_id}"}


def test_nothing_is_erased_of_a_run_that_never_was(told: Told) -> None:
    with pytest.raises(NotFound):
        told.ledger.append(stone(RunId.new(START, os.urandom(10)), GONE))
    assert list(told.ledger.events()) == []
