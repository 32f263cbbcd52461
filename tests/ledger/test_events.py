"""Events survive their stored form, and the ledger, exactly."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.digest import Digest, canonical
from nbprod.errors import CallerError, IntegrityError, UnsupportedVersion
from nbprod.ledger.events import (
    AliasMoved,
    BytesErased,
    Event,
    RunCancelRequested,
    RunFinished,
    RunHeard,
    RunNamed,
    RunNoted,
    RunReviewed,
    RunStarted,
    RunTagged,
    RunUntagged,
    StepPublished,
    StepReviewed,
    from_json,
    to_json,
)
from nbprod.ledger.index import fold
from nbprod.ledger.memory import MemoryLedger
from nbprod.ledger.review_events import reviewed
from nbprod.ledger.values import read_json
from nbprod.record.ids import RunId
from nbprod.record.review import Decision, Review
from nbprod.record.status import Status
from nbprod.record.tombstone import ErasedObject, Tombstone
from tests.telling import DIGEST, START, finished, started

RUN = RunId("01890000-0000-7000-8000-000000000000")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
digests = st.binary(min_size=32, max_size=32).map(lambda data: Digest(data.hex()))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(texts, json_values, max_size=4)
seconds = st.floats(0, 1e9)
unknown = st.dictionaries(st.sampled_from(["colour", "shape"]), json_values)
common: dict[str, Any] = {"at": moments, "run_id": st.just(RUN), "unknown": unknown}
annotations = st.one_of(
    st.builds(RunNamed, **common, name=texts),
    st.builds(RunTagged, **common, tag=texts.filter(bool)),
    st.builds(RunUntagged, **common, tag=texts),
    st.builds(RunNoted, **common, note=texts),
    st.builds(RunHeard, **common, what=texts, data=json_values),
    st.builds(RunCancelRequested, **common, by=texts),
    st.builds(
        BytesErased,
        **common,
        by=texts,
        why=texts,
        objects=st.lists(
            st.builds(ErasedObject, name=texts, digest=digests, size=st.integers(1, 2**50), there=st.booleans()),
            max_size=3,
        ).map(tuple),
        statement=digests,
        attestation=st.none() | digests,
    ),
)
said: dict[str, Any] = {
    "decision": st.sampled_from(Decision),
    "by": texts,
    "why": texts,
    "capacity": texts,
    "log": texts,
    "attestation": digests,
}
starts = st.builds(
    RunStarted,
    **common,
    step=texts,
    notebook=texts,
    request_digest=digests,
    parameters=mappings,
    user=texts,
    host=texts,
    runner_pid=st.integers(1, 2**22),
    lease_seconds=seconds,
    name=st.none() | texts,
    tags=st.lists(texts.filter(bool), max_size=3).map(tuple),
    note=st.none() | texts,
    folder=texts,
    occasion=st.none() | texts.filter(bool),
    retry_of=st.none() | st.just(RUN),
    flow_run=st.none() | texts.filter(bool),
    shared=st.booleans(),
)
ends = st.builds(
    RunFinished,
    **common,
    status=st.sampled_from(Status),
    reason=texts,
    seconds=seconds,
    record=digests,
    notebook=st.none() | digests,
    scraps=mappings,
    of=st.none() | st.just(RUN),
    attestation=st.none() | digests,
)
about_step: dict[str, Any] = {"at": moments, "step": texts, "unknown": unknown}
versions = st.integers(1, 2**31)
steps = st.one_of(
    st.builds(StepPublished, **about_step, number=versions, manifest=digests, by=texts, note=texts),
    st.builds(
        AliasMoved,
        **about_step,
        alias=texts,
        number=st.none() | versions,
        before=st.none() | versions,
        by=texts,
        why=texts,
        log=texts,
        attestation=st.none() | digests,
    ),
)
reviews = st.one_of(
    st.builds(RunReviewed, **common, **said, record=digests),
    st.builds(StepReviewed, **about_step, **said, number=versions, manifest=digests),
)


@given(event=reviews)
def test_what_is_signed_of_a_review_tells_all_of_it(event: RunReviewed | StepReviewed) -> None:
    review = Review.from_bytes(event.review.to_bytes())
    assert review == event.review
    assert reviewed(review, event.attestation) == replace(event, unknown={})


@given(event=starts | ends | annotations | steps | reviews)
def test_the_stored_form_reads_back(event: Event) -> None:
    stored = canonical(to_json(event))
    again = from_json(read_json(stored.decode()))
    assert again == event
    assert type(again) is type(event)
    assert canonical(to_json(again)) == stored
    assert pickle.loads(pickle.dumps(event)) == event


@settings(max_examples=50)
@given(events=st.tuples(starts, st.lists(annotations, max_size=4), ends, st.lists(annotations, max_size=4)))
def test_the_index_is_the_sum_of_the_events(events: Any) -> None:
    first, before, end, after = events
    story = [first, *before, end, *after]
    ledger = MemoryLedger(clock=lambda: START)
    row = None
    for event in story:
        ledger.append(event)
        row = fold(row, event)
    assert [each.event for each in ledger.events()] == story
    assert ledger.run(RUN) == row


def test_a_stored_form_of_before_stays_as_it_was() -> None:
    assert not {"occasion", "retry_of", "flow_run", "shared", "of", "attestation"} & {
        *to_json(started(RUN)),
        *to_json(finished(RUN)),
    }


def test_moments_are_kept_in_utc() -> None:
    there = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert RunNamed(at=there, run_id=RUN, name="x") == RunNamed(at=START, run_id=RUN, name="x")
    assert to_json(RunNamed(at=there, run_id=RUN, name="x"))["at"] == "2026-01-01T12:30:15.123456Z"
    with pytest.raises(CallerError, match="zone"):
        RunNamed(at=START.replace(tzinfo=None), run_id=RUN, name="x")


@pytest.mark.parametrize("change", [{"version": 2}, {"version": None}, {"kind": "ModelPromoted"}, {"kind": 3}])
def test_unknown_versions_and_kinds_are_refused(change: dict[str, Any]) -> None:
    body = to_json(finished(RUN))
    assert from_json(body) == finished(RUN)  # positive control
    with pytest.raises(UnsupportedVersion):
        from_json(body | change)


@pytest.mark.parametrize(
    "change",
    [{"status": "done"}, {"record": "md5:1"}, {"seconds": "1"}, {"at": "yesterday"}, {"run_id": "7"}, {"scraps": []}],
    ids=str,
)
def test_what_is_no_event_is_an_integrity_error(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="RunFinished"):
        from_json(to_json(finished(RUN)) | change)


def stone() -> BytesErased:
    gone = ErasedObject(name="journal", digest=DIGEST, size=3)
    return BytesErased.of(Tombstone(run_id=RUN, at=START, by="ada", why="asked", objects=(gone,)), DIGEST)


@pytest.mark.parametrize(
    "objects",
    [3, ["journal"], [{"name": "journal", "size": 3}], [{"name": 1, "digest": str(DIGEST), "size": 3}]]
    + [[{"name": "journal", "digest": str(DIGEST), "size": size}] for size in ("3", True)]
    + [[{"name": "journal", "digest": str(DIGEST), "size": 3, "there": "no"}]],
    ids=str,
)
def test_what_is_no_tombstone_is_an_integrity_error(objects: Any) -> None:
    assert from_json(to_json(stone())) == stone()  # positive control
    with pytest.raises(IntegrityError, match="BytesErased"):
        from_json(to_json(stone()) | {"objects": objects})


def test_a_tombstone_in_the_store_reads_back() -> None:
    event = stone()
    there = Tombstone(run_id=RUN, at=event.at, by=event.by, why=event.why, objects=event.objects)
    assert Tombstone.from_bytes(there.to_bytes()) == there
    with pytest.raises(UnsupportedVersion):
        Tombstone.from_bytes(there.to_bytes().replace(b"erasure/v1", b"erasure/v9"))
    with pytest.raises(IntegrityError):
        Tombstone.from_bytes(there.to_bytes().replace(b'"why"', b'"way"'))


PYTHON_S = re.compile(r"object has no|__init__|argument|NoneType|expected (str|int|dict|list|bool)|KeyError|\\bdict\\b")


WRONG = json_values | st.sampled_from(["", [], {}, [{}], 0.5])


@settings(max_examples=40)
@given(event=starts | ends | annotations | steps | reviews, value=WRONG)
def test_a_field_that_is_missing_or_wrong_is_named_in_our_words(event: Event, value: Any) -> None:
    body = to_json(replace(event, unknown={}))
    for name in body.keys() - {"version", "kind"}:
        without = {key: each for key, each in body.items() if key != name}
        for changed, what in ((without, "Expected: the field "), (body | {name: value}, "Expected: ")):
            try:
                from_json(changed)
            except IntegrityError as error:
                told = str(error)
                assert f"a {type(event).__name__} event cannot be read. {what}{name}: " in told
                assert not PYTHON_S.search(told.partition("Found")[0]), told
                assert repr(value)[:80].rstrip(".") in told or what != "Expected: " or value is None


def test_a_missing_field_is_named() -> None:
    body = to_json(started(RUN))
    del body["step"]
    with pytest.raises(IntegrityError, match=r"Expected: the field step: a text. Found: no such field"):
        from_json(body)
    with pytest.raises(IntegrityError, match=r"Expected: record: a digest, as sha256:…. Found: null"):
        from_json(to_json(finished(RUN)) | {"record": None})


def test_what_json_cannot_hold_is_refused() -> None:
    ledger = MemoryLedger()
    with pytest.raises(CallerError, match="canonical"):
        ledger.append(started(RUN, parameters={"x": float("nan")}))
    assert list(ledger.events()) == []
    assert started(RUN).request_digest == DIGEST
