"""Records of any shape that nbprod could write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from nbprod.digest import Digest
from nbprod.record.ids import RunId
from nbprod.record.labels import Labels
from nbprod.record.launch import LEAN, NBCLIENT, Launch
from nbprod.record.request import Input, RunRequest
from nbprod.record.run_record import Artifact, Kept, LockFile, RunRecord
from nbprod.record.status import CellStatus, Status
from nbprod.record.verdict import CellError, CellOutcome, Verdict
from nbprod.scraps import Scrap
from nbprod.step.contract import Requirement


def moment(second: int, microsecond: int) -> datetime:
    return datetime(1971, 1, 1, tzinfo=UTC) + timedelta(seconds=second, microseconds=microsecond)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
digests = st.binary(min_size=32, max_size=32).map(lambda data: Digest(data.hex()))
sizes = st.integers(0, 2**50)
moments = st.builds(moment, st.integers(0, 2**34), st.integers(0, 10**6 - 1))
seconds = st.floats(0, 1e6).map(lambda value: round(value, 6))
run_ids = st.builds(RunId.new, moments, st.binary(min_size=10, max_size=10))
safe_numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | safe_numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(names, json_values, max_size=3)

errors = st.builds(CellError, name=words, message=words)
outcomes = st.builds(
    CellOutcome,
    cell=st.none() | st.integers(0, 1000),
    status=st.sampled_from(CellStatus),
    execution_count=st.none() | st.integers(1, 1000),
    started=st.none() | moments,
    seconds=st.none() | seconds,
    output_bytes=sizes,
    truncated=st.booleans(),
    error=st.none() | errors,
)
requirements = st.builds(Requirement, text=words, met=st.booleans(), found=words)
verdicts = st.builds(
    Verdict,
    status=st.sampled_from(Status),
    reason=words,
    cells=st.lists(outcomes, max_size=3).map(tuple),
    contract=st.lists(requirements, max_size=2).map(tuple),
)
inputs = st.builds(
    Input,
    kind=st.sampled_from(["file", "folder", "artifact", "root", "missing", "unpinned"]),
    name=names,
    path=words,
    digest=st.none() | digests,
    size=st.none() | sizes,
    note=words,
    run=st.none() | run_ids,
)
requests = st.builds(
    RunRequest,
    step=words,
    notebook=words,
    source=digests,
    kernel=names,
    parameters=objects,
    given=st.lists(names, max_size=2).map(tuple),
    inputs=st.lists(inputs, max_size=2).map(tuple),
    environment=digests,
    limits=objects,
    contract=objects,
    secrets=st.lists(names, max_size=2).map(tuple),
)
kept = st.builds(Kept, digest=digests, size=sizes)
scraps = st.builds(Scrap, name=names, encoder=st.just("json"), cell=st.integers(0, 99), data=json_values)
artifacts = st.builds(Artifact, name=words.filter(bool), digest=digests, size=sizes)
KNOWN = frozenset(RunRecord.__dataclass_fields__) | {"run"}
labels = st.builds(
    Labels,
    name=st.none() | names,
    tags=st.lists(words, max_size=2).map(tuple),
    note=st.none() | names,
    occasion=st.none() | names,
    retry_of=st.none() | run_ids,
    flow_run=st.none() | names,
)
launches = st.builds(Launch, why=words, driver=st.sampled_from([LEAN, NBCLIENT]), how=st.just("started")) | st.builds(
    Launch, how=st.just("forked"), preloaded=st.lists(names, max_size=2).map(tuple)
)
records = st.builds(
    RunRecord,
    run_id=run_ids,
    request=requests,
    verdict=verdicts,
    notebook=kept,
    source_file=kept,
    journal=kept,
    scraps=st.lists(scraps, max_size=2).map(lambda found: tuple(scrap.entry() for scrap in found)),
    artifacts=st.lists(artifacts, max_size=2).map(tuple),
    environment_facts=st.none() | digests,
    git=st.none() | objects,
    user=words,
    host=words,
    started=moments,
    finished=moments,
    seconds=seconds,
    timezone=words,
    notes=st.lists(words, max_size=2).map(tuple),
    trace=st.none() | kept,
    labels=labels,
    launch=st.none() | launches,
    locks=st.lists(st.builds(LockFile, name=names, digest=digests), max_size=2).map(tuple),
    container=st.none() | st.fixed_dictionaries({"kind": names, "image": st.none() | names}),
    extra=st.dictionaries(names.filter(lambda name: name not in KNOWN), json_values, max_size=2),
)
