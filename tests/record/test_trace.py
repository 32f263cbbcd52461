"""What a run touched: the stored form, paths as text, and what speaks against using the run again."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.digest import Digest, canonical
from nbprod.errors import IntegrityError, UnsupportedVersion
from nbprod.record.trace import Contact, Listing, Lookup, Native, Process, Touched, Trace, path_from_text, path_text

from .strategies import digests, json_values, sizes, words

SOME = Digest("ab" * 32)
extras = st.dictionaries(st.from_regex(r"x_[a-z]{1,4}", fullmatch=True), json_values, max_size=2)
seen = st.lists(st.sampled_from(["audit", "parameter", "artifact", "root"]), max_size=2).map(tuple)
touched = st.builds(
    Touched,
    path=words,
    digest=st.none() | digests,
    size=st.none() | sizes,
    seen=seen,
    note=words,
    extra=extras,
)


def several(kind: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(kind, max_size=2).map(tuple)


traces = st.builds(
    Trace,
    on=st.booleans(),
    why_off=words,
    complete=st.booleans(),
    notes=several(words),
    reads=several(touched),
    listings=several(st.builds(Listing, path=words, digest=st.none() | digests, note=words, extra=extras)),
    missing=several(st.builds(Lookup, path=words, note=words, extra=extras)),
    written=several(touched),
    modules=several(touched),
    hosts=several(st.builds(Contact, host=words, port=st.none() | st.integers(0, 65535), extra=extras)),
    subprocesses=several(st.builds(Process, program=words, how=words, observed=st.booleans(), extra=extras)),
    native=several(st.builds(Native, name=words, reach=words, extra=extras)),
    extra=extras,
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=20, deadline=None)
@given(traces)
def test_a_trace_survives_the_round_trip(trace: Trace) -> None:
    data = trace.to_bytes()
    again = Trace.from_bytes(data)
    assert again == trace
    assert again.to_bytes() == data
    assert pickle.loads(pickle.dumps(trace)) == trace


def test_a_newer_form_is_refused() -> None:
    with pytest.raises(UnsupportedVersion, match="newer"):
        Trace.from_json({**Trace(on=True).to_json(), "form": 2})


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", canonical({"form": 1}), canonical({**Trace(on=True).to_json(), "reads": [{}]})],
    ids=["empty", "list", "object", "no fields", "a read without a path"],
)
def test_what_is_no_trace_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        Trace.from_bytes(data)


@given(st.lists(st.binary(min_size=1, max_size=8).filter(lambda name: not set(name) & {0, 47}), min_size=1, max_size=3))
def test_any_path_comes_back_from_its_text(names: list[bytes]) -> None:
    root = Path("/a/root")
    path = root.joinpath(*map(os.fsdecode, names))
    expected = Path(os.path.normpath(path))
    assert path_from_text(path_text(path, root), root) == expected
    assert canonical(path_text(path, root))


def test_paths_stand_relative_to_the_root_where_they_lie_below_it() -> None:
    root = Path("/a/root")
    assert path_text("/a/root/data/in.csv", root) == "data/in.csv"
    assert path_text("/a/root", root) == "."
    assert path_text("/a/rooted/in.csv", root) == "/a/rooted/in.csv"
    assert path_text(b"/a/root/\xff.csv".decode(errors="surrogateescape"), root) == "\0ff2e637376"


@pytest.mark.parametrize(
    ("trace", "told"),
    [
        (Trace(on=True), ()),
        (Trace(on=True, reads=(Touched(path="a", digest=SOME),), missing=(Lookup(path="b"),)), ()),
        (Trace(on=True, subprocesses=(Process(program="fork", how="fork", observed=True),)), ()),
        (Trace(on=False, why_off="so it is set"), ("what it touched was not observed: so it is set",)),
        (
            Trace(on=True, complete=False, notes=("there was too much",)),
            ("what it touched is not known in full: there was too much",),
        ),
        (
            Trace(on=True, hosts=tuple(Contact(host=f"h{n}", port=1) for n in range(5))),
            ("it contacted h0:1, h1:1, h2:1 and 2 more",),
        ),
        (Trace(on=True, subprocesses=(Process(program="git"),)), ("it started, and nobody observed, git",)),
        (
            Trace(on=True, reads=(Touched(path="a", note="changed meanwhile"),)),
            ("it read what is not pinned: a (changed meanwhile)",),
        ),
    ],
    ids=["nothing", "all pinned", "a fork", "off", "incomplete", "hosts", "a subprocess", "unpinned"],
)
def test_what_speaks_against_using_a_run_again_is_told(trace: Trace, told: tuple[str, ...]) -> None:
    assert trace.blockers() == told
