"""Files by what they hold: what normalisers take for equal, what they never do, and files made to hurt."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbprod.diff import Outcome, Side, compare
from nbprod.diff import archives as archives_module
from nbprod.diff.archives import compare_gzip, compare_zip
from nbprod.diff.content import Content
from nbprod.diff.documents import compare_json, compare_notebooks, compare_texts
from nbprod.diff.side import Own
from nbprod.diff.skops_file import compare_skops
from nbprod.diff.tables import compare_csv, compare_parquet
from nbprod.digest import Digest, digest_bytes
from nbprod.errors import DigestMismatch, Erased
from nbprod.record.run_record import Artifact, Kept
from tests.notebooks import notebook_of
from tests.records import a_record

OWNS = Own(), Own()
COLUMNS = st.lists(st.one_of(st.floats(), st.none()), min_size=1, max_size=6)
CELLS = st.lists(st.lists(st.text("ab,\"'\n1.5", max_size=4), min_size=2, max_size=2), max_size=5)


def both(compared: Any, before: bytes, after: bytes, *more: Any) -> Content:
    """Compare two files; their order must not matter."""
    found = compared(io.BytesIO(before), io.BytesIO(after), *more)
    assert compared(io.BytesIO(after), io.BytesIO(before), *more).outcome is found.outcome
    return found


def same(compared: Any, before: bytes, after: bytes, *more: Any) -> bool:
    return both(compared, before, after, *more).outcome is Outcome.NORMALISED


def parquet(table: dict[str, Any], **options: Any) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table(table), data, **options)
    return data.getvalue()


def table_of(rows: list[list[str]], **dialect: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows([["a", "b"], *rows])
    return text.getvalue().encode()


def zipped(members: dict[str, bytes], year: int = 2020, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", packing) as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), body, packing)
    return data.getvalue()


def model(regularisation: float = 1.0, seed: int = 0) -> bytes:
    values = np.random.default_rng(seed).normal(size=(60, 2))
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=regularisation)).fit(values, values[:, 0] > 0)
    return skops.io.dumps(fitted)


# --- tables ----------------------------------------------------------------------------------------


@given(COLUMNS)
def test_parquet_is_the_same_however_it_is_packed(column):
    rows = {"x": pa.array(column, pa.float64()), "name": ["a"] * len(column)}
    other = parquet(rows, compression="gzip", row_group_size=2)
    assert same(compare_parquet, parquet(rows), other)


@given(COLUMNS, st.integers(0, 5))
def test_a_value_of_parquet_is_never_hidden(column, place):
    changed = list(column)
    changed[place % len(column)] = 123.0 if changed[place % len(column)] != 123.0 else None
    tables = [parquet({"x": pa.array(each, pa.float64())}) for each in (column, changed)]
    found = both(compare_parquet, *tables)
    assert found.outcome is Outcome.DIFFERENT
    assert f"1 of {len(column)} values differ" in found.told[0]


def test_what_differs_in_parquet_is_told_by_column():
    before = parquet({"x": [1.0, 2.0], "day": ["a", "b"], "old": [1, 2], "nested": [[1], [2]]})
    after = parquet({"x": [1.0, 4.0], "day": ["a", "c"], "new": [True, None], "nested": [[1], [3]]})
    assert both(compare_parquet, before, after).told == (
        "column old: int64 → not there",
        "column new: not there → bool",
        "column x: 1 of 2 values differ; 1 to 2, mean 1.5 → 1 to 4, mean 2.5",
        "column day: 1 of 2 values differ",
        "column nested: values differ",
    )
    assert both(compare_parquet, parquet({"x": [1]}), parquet({"x": [1.0]})).told == ("column x: int64 → double",)


def test_without_pyarrow_parquet_is_different_and_says_why(monkeypatch):
    monkeypatch.setattr("nbprod.diff.tables.find_spec", lambda name: None)
    found = both(compare_parquet, parquet({"x": [1]}), parquet({"x": [1]}, compression="gzip"))
    assert found.outcome is Outcome.DIFFERENT
    assert "needs pyarrow" in found.told[0]


@given(CELLS)
def test_csv_is_the_same_however_it_is_quoted(rows):
    assert same(compare_csv, table_of(rows), table_of(rows, quoting=csv.QUOTE_ALL, lineterminator="\n"))


@given(CELLS, CELLS)
def test_rows_of_csv_are_never_hidden(before, after):
    assert same(compare_csv, table_of(before), table_of(after)) is (before == after)


def test_what_differs_in_csv_is_told_by_column():
    before, after = table_of([["1", "x"], ["3", ""]]), table_of([["1", "x"], ["5", ""]])
    assert both(compare_csv, before, after).told == (
        "1 of 2 rows differ",
        "column a: 2 numbers, 1 to 3, mean 2 → 2 numbers, 1 to 5, mean 3",
    )
    assert both(compare_csv, before, table_of([["1", "x"]])).told[0] == "rows: 2 → 1"
    assert both(compare_csv, before, before.replace(b"a,b", b"a,c")).told[0] == "columns: a, b → a, c"


# --- models and archives -----------------------------------------------------------------------------


def test_a_model_saved_twice_is_the_same_model():
    before, after = model(), model()
    assert before != after
    assert same(compare_skops, before, after)


def test_a_models_parameters_are_told_before_what_it_learnt():
    told = both(compare_skops, model(1.0), model(0.5)).told
    assert told[0] == "steps[1][1].C: 1.0 → 0.5"
    assert "steps[1][1].coef_: array of <f8, 1 x 2, other values" in told
    learnt = both(compare_skops, model(), model(seed=1)).told
    assert learnt[0].startswith("steps[0][1].mean_: array of <f8")


def test_which_objects_are_one_counts_in_a_model():
    shared, one, other = [0.5], [0.5], [0.5]
    tied, apart = skops.io.dumps({"a": shared, "b": shared}), skops.io.dumps({"a": one, "b": other})
    assert same(compare_skops, tied, skops.io.dumps({"a": other, "b": other}))
    assert not same(compare_skops, tied, apart)


def test_a_models_types_count():
    files = [skops.io.dumps({"a": value}) for value in (1, 1.0, True, "1", None)]
    assert [[same(compare_skops, one, other) for other in files] for one in files] == np.eye(5, dtype=bool).tolist()


def test_arrays_in_zip_files_count_and_times_do_not():
    arrays = {"a.npy": np.arange(3), "b.npy": np.ones((2, 2))}
    files = {}
    for name, array in arrays.items():
        data = io.BytesIO()
        np.save(data, array)
        files[name] = data.getvalue()
    after = zipped(dict(reversed(files.items())), 2021, zipfile.ZIP_STORED)
    assert same(compare_zip, zipped(files), after)
    found = both(compare_zip, zipped(files), zipped({**files, "b.npy": files["b.npy"][:-1] + b"\1", "c": b"x"}))
    assert found.told == ("b.npy: array of <f8, 2 x 2, other content", "c: not there → 1 bytes")


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), st.binary(max_size=8), max_size=4), st.binary(max_size=8)
)
def test_a_member_is_never_hidden(members, body):
    assert same(compare_zip, zipped(members), zipped(members, 2021))
    assert same(compare_zip, zipped(members), zipped({**members, "a": body})) is (members.get("a") == body)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_gzip_is_told_by_its_content(before, after):
    assert same(compare_gzip, gzip.compress(before, mtime=1), gzip.compress(after, 1, mtime=2)) is (before == after)


def test_bombs_are_put_away_unopened(monkeypatch):
    monkeypatch.setattr(archives_module, "_MOST_BYTES", 1 << 20)
    bomb = zipped({"schema.json": b"[" * (3 << 20)})
    for compared, file in ((compare_zip, bomb), (compare_skops, bomb), (compare_gzip, gzip.compress(b"0" * (3 << 20)))):
        found = both(compared, file, file + b"")
        assert found.outcome is Outcome.DIFFERENT
        assert "more than 1,048,576 bytes" in found.told[0]


def test_depth_is_no_way_in():
    deep = b"[" * 100_000 + b"]" * 100_000
    assert both(compare_json, deep, b"[]", OWNS).outcome is Outcome.DIFFERENT
    nested = zipped({"schema.json": deep})
    assert both(compare_skops, nested, model()).outcome is Outcome.DIFFERENT


@pytest.mark.parametrize("compared", [compare_parquet, compare_csv, compare_zip, compare_gzip, compare_skops])
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_noise_is_told_and_never_raised(compared, before, after):
    found = both(compared, before, after)
    assert before == after or compared is compare_csv or found.outcome is Outcome.DIFFERENT


# --- documents ---------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_json_is_told_by_its_values_and_their_types(before, after):
    one, other = json.dumps(before, sort_keys=True), json.dumps(after, sort_keys=True)
    assert same(compare_json, json.dumps(before, indent=3).encode(), one.encode(), OWNS)
    assert same(compare_json, one.encode(), other.encode(), OWNS) is (one == other)


def test_a_key_that_stands_twice_is_not_read_over():
    twice = b'{"a": 1, "a": 2}'
    assert both(compare_json, twice, b'{"a": 2}', OWNS).outcome is Outcome.DIFFERENT


def test_texts_and_notebooks_by_the_rules_for_outputs():
    assert both(compare_texts, b"<A at 0x7f00aa>", b"<A at 0x7f00bb>", OWNS) == Content(
        outcome=Outcome.NORMALISED, by="text without memory addresses"
    )
    assert both(compare_texts, b"a\nb", b"a\nc", OWNS).told == ("  a", "- b", "+ c")
    made = [notebook_of("1", "2"), notebook_of("1", "3")]
    files = [json.dumps(each).encode() for each in made]
    assert both(compare_notebooks, files[0], files[1], OWNS).told == ("source: a code cell was changed",)
    made[0].cells[0].execution_count, made[0].metadata["x"] = 7, 1
    assert same(compare_notebooks, files[0], json.dumps(made[0]).encode(), OWNS)


# --- which file goes to whom ---------------------------------------------------------------------------


class Bomb:
    """What makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def sides(name: str, before: bytes, after: bytes) -> tuple[Side, Side]:
    """Return two runs that left one file each, and whose executed notebooks are empty."""
    notebook = json.dumps(notebook_of()).encode()
    kept = Kept(digest=digest_bytes(notebook), size=len(notebook))
    there = {digest_bytes(data): data for data in (notebook, before, after)}

    def side(data: bytes) -> Side:
        artifact = Artifact(name=name, digest=digest_bytes(data), size=len(data))
        return Side(record=a_record(artifacts=(artifact,), notebook=kept), read=there.__getitem__)

    return side(before), side(after)


def test_a_pickle_is_never_loaded(tmp_path):
    trap = str(tmp_path / "trap")
    for name in ("m.joblib", "m.pkl", "m.bin"):
        found = compare(*sides(name, pickle.dumps(Bomb(trap)), pickle.dumps(1))).artifacts[0]
        assert found.outcome is Outcome.DIFFERENT
    assert not (tmp_path / "trap").exists()
    pickle.loads(pickle.dumps(Bomb(trap))).close()
    assert (tmp_path / "trap").exists()  # it would have been there


def test_what_was_erased_cannot_be_told_and_what_was_altered_is_raised():
    before, after = sides("m.json", b"1", b"2")

    def gone(digest: Digest) -> bytes:
        raise Erased("gone", by="ada", why="asked", digest=str(digest))

    def altered(digest: Digest) -> bytes:
        raise DigestMismatch("altered")

    found = compare(before, Side(record=after.record, read=gone))
    assert found.artifacts[0].outcome is Outcome.UNKNOWN
    assert found.differing() == ("outputs", "artifacts")
    with pytest.raises(DigestMismatch):
        compare(before, Side(record=after.record, read=altered))
