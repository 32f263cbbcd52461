"""The stored record: an in-toto Statement that survives a round trip byte for byte."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import HealthCheck, given, settings

from nbprod.digest import canonical, digest_json
from nbprod.errors import IntegrityError, UnsupportedVersion
from nbprod.record.run_record import PREDICATE_TYPE, RunRecord
from nbprod.record.verdict import CellOutcome, Verdict

from .strategies import outcomes, records, verdicts

slow = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=40, deadline=None
)


@slow
@given(records)
def test_a_record_survives_the_round_trip(record: RunRecord) -> None:
    data = record.to_bytes()
    again = RunRecord.from_bytes(data)
    assert again == record
    assert again.to_bytes() == data
    assert pickle.loads(pickle.dumps(record)) == record


@slow
@given(records)
def test_the_form_is_an_in_toto_statement(record: RunRecord) -> None:
    statement = json.loads(record.to_bytes())
    assert set(statement) == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE
    subjects = {subject["name"]: subject["digest"] for subject in statement["subject"]}
    assert all(set(digest) == {"sha256"} for digest in subjects.values())
    assert statement["subject"][0] == {
        "name": f"{record.request.step}.ipynb",
        "digest": {"sha256": record.notebook.digest.hex},
    }
    assert subjects["verdict"] == {"sha256": digest_json(statement["predicate"]["verdict"]).hex}
    assert len(statement["subject"]) == 2 + len(record.artifacts)
    for entry in record.artifacts:
        assert {"name": f"artifacts/{entry.name}", "digest": {"sha256": entry.digest.hex}} in statement["subject"]


@slow
@given(records)
def test_fields_that_are_not_known_are_kept_and_written_back(record: RunRecord) -> None:
    statement = record.to_statement()
    statement["predicate"]["of_a_later_version"] = {"deep": [1, None]}
    data = canonical(statement)
    again = RunRecord.from_bytes(data)
    assert again.extra["of_a_later_version"] == {"deep": [1, None]}
    assert again.to_bytes() == data


@slow
@given(records)
def test_unknown_versions_are_refused(record: RunRecord) -> None:
    statement = record.to_statement()
    statement["predicateType"] = PREDICATE_TYPE.replace("/v1", "/v2")
    with pytest.raises(UnsupportedVersion, match="newer"):
        RunRecord.from_bytes(canonical(statement))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b'{"predicateType": "https://slsa.dev/provenance/v1", "_type": "https://in-toto.io/Statement/v1"}',
        canonical({"_type": "https://in-toto.io/Statement/v1", "predicateType": PREDICATE_TYPE, "predicate": {}}),
    ],
    ids=["empty", "list", "object", "null", "no text", "another predicate", "no fields"],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        RunRecord.from_bytes(data)


@given(verdicts)
def test_a_verdict_survives_json(verdict: Verdict) -> None:
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
    assert bool(verdict) is (verdict.status in ("succeeded", "cached"))


@given(outcomes)
def test_an_outcome_survives_json(outcome: CellOutcome) -> None:
    assert CellOutcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
