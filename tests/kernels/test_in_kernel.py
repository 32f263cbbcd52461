"""What the kernel writes is what the reader reads: tried here without a kernel."""

from __future__ import annotations

import ast
import json
import sys
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbprod
from nbprod.kernels._in_kernel import Unsupported, encode, plain
from nbprod.scraps import Scrap, read_scraps

ZONES = st.none() | st.just(UTC) | st.just(ZoneInfo("Europe/Berlin")) | st.just(timezone(timedelta(hours=-5)))
LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.builds(Path, st.text("abc/.", min_size=1))
)
KEY = st.text("abc$") | st.dates() | st.tuples(st.integers(), st.text("ab"))
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(KEY, inner, max_size=3)
        | st.frozensets(st.dates() | st.integers(), max_size=3)
        | st.sets(st.text("ab") | st.uuids(), max_size=3)
    ),
    max_leaves=8,
)


def through(value: Any) -> Any:
    """Return the value after the wire, the file and the reader."""
    return scrap(value).value()


def scrap(value: Any) -> Scrap:
    wire = json.loads(json.dumps(encode([value]), allow_nan=False))
    payload = {"name": "a", "data": wire, "encoder": "json", "version": 1}
    (read,) = read_scraps([(0, [{"data": {"application/scrapbook.scrap.json+json": payload}, "metadata": {}}])])
    return Scrap(name="a", encoder="json", cell=0, data=read.data[0])


def same(left: Any, right: Any) -> bool:
    """Compare by value and type, without the order of sets and keys; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return set(left) == set(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, datetime | time):
        return repr(left) == repr(right)
    return left == right or (left != left and right != right)  # noqa: PLR0124


@given(VALUE)
def test_values_come_back_with_their_types(value: Any) -> None:
    assert same(through(value), value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_what_json_holds_is_not_touched(value: Any) -> None:
    assert plain(value)
    assert encode(value) is value


class Point(NamedTuple):
    x: int
    y: float


PLAIN = {
    "int64": (np.int64(5), 5),
    "uint8": (np.uint8(5), 5),
    "float32": (np.float32(0.5), 0.5),
    "float64": (np.float64(0.25), 0.25),
    "bool": (np.bool_(True), True),
    "str": (np.str_("a"), "a"),
    "ordered": (OrderedDict(a=1), {"a": 1}),
    "numeric keys": ({1: "a"}, {1: "a"}),
    "NA": (pd.NA, None),
}


@pytest.mark.parametrize(("value", "written"), PLAIN.values(), ids=PLAIN)
def test_values_with_a_plain_form_are_written_plainly(value: Any, written: Any) -> None:
    assert same(json.loads(json.dumps(encode(value))), json.loads(json.dumps(written)))


ARRAYS = {
    "floats": np.array([[1.0, np.nan], [np.inf, 0.1]]),
    "float32": np.array([0.1, 2.0], dtype="float32"),
    "bools": np.array([True, False]),
    "uint64": np.array([2**64 - 1, 0], dtype="uint64"),
    "empty": np.zeros((2, 0, 3)),
    "scalar": np.array(3.5),
    "text": np.array(["a", "bcd"]),
    "moments": np.array(["2013-01-01T00:00:00.000000001", "NaT"], dtype="datetime64[ns]"),
    "days": np.array(["2013-01-01"], dtype="datetime64[D]"),
    "spans": np.array([1, 2**60, "NaT"], dtype="timedelta64[ms]"),
    "complex": np.array([[1 + 2j], [complex(0, np.inf)]]),
    "objects": np.array([[None, "a"], [(1, 2), [3]]], dtype=object),
    "lists": np.array([[1, 2], [3, 4], None], dtype=object)[:2],
    "no complex": np.zeros((2, 0), dtype="complex128"),
    "object scalar": np.array({"a": 1}, dtype=object),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays(array: np.ndarray) -> None:
    back = through(array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


SCALARS = {
    "moment": np.datetime64("2013-01-01T00:00:00", "ns"),
    "not a time": np.datetime64("NaT", "s"),
    "span": np.timedelta64(5, "ns"),
    "complex": np.complex64(1 + 2j),
}


@pytest.mark.parametrize("value", SCALARS.values(), ids=SCALARS)
def test_scalars_without_a_plain_form_are_arrays_of_no_dimension(value: np.generic) -> None:
    np.testing.assert_array_equal(through(value), np.asarray(value))


SERIES = {
    "named": pd.Series([1.0, np.nan], index=["a", "b"], name="delay"),
    "ints": pd.Series([1, 2]),
    "moments": pd.Series(pd.to_datetime(["2013-01-01", None])),
    "zoned": pd.Series(pd.to_datetime(["2013-01-01"]).tz_localize("America/New_York")),
    "levels": pd.Series([1], index=pd.MultiIndex.from_tuples([("a", 1)], names=["x", "y"])),
    "category": pd.Series(["a", "b", "a"], dtype="category"),
    "text": pd.Series(["a", None, "b"], name=("two", 1)),
    "nullable": pd.Series([1, None], dtype="Int64"),
    "empty": pd.Series([], dtype="float64"),
}


@pytest.mark.parametrize("series", SERIES.values(), ids=SERIES)
def test_series(series: pd.Series) -> None:
    pd.testing.assert_series_equal(through(series), series, check_index_type="equiv" if len(series) else False)


STAMPS = {
    "zoned": (pd.Timestamp("2013-01-01 10:00", tz="UTC"), datetime(2013, 1, 1, 10, tzinfo=UTC)),
    "plain": (pd.Timestamp("2013-01-01"), datetime(2013, 1, 1)),  # noqa: DTZ001
    "fine": (pd.Timestamp("2013-01-01T00:00:00.000000001"), pd.Timestamp("2013-01-01T00:00:00.000000001")),
    "span": (pd.Timedelta(days=-1, microseconds=2), timedelta(days=-1, microseconds=2)),
    "fine span": (pd.Timedelta(5, "ns"), np.timedelta64(5, "ns")),
}


@pytest.mark.parametrize(("value", "back"), STAMPS.values(), ids=STAMPS)
def test_pandas_moments(value: Any, back: Any) -> None:
    assert through(value) == back


def test_not_a_time_comes_back() -> None:
    assert through(pd.NaT) is pd.NaT


OTHERS = {
    "named tuple": (Point(1, 0.5), (1, 0.5)),
    "pure path": (PurePosixPath("a/b"), Path("a/b")),
    "date": (date(2013, 1, 1), date(2013, 1, 1)),
    "uuid": (UUID(int=1), UUID(int=1)),
    "decimal": (Decimal("NaN"), Decimal("NaN")),
}


@pytest.mark.parametrize(("value", "back"), OTHERS.values(), ids=OTHERS)
def test_others(value: Any, back: Any) -> None:
    assert repr(through(value)) == repr(back)


REFUSED = {
    "object": object(),
    "bytes": b"x",
    "in a tuple": (1, object()),
    "period": pd.Period("2013-01"),
    "frame": pd.DataFrame({"a": [1]}),
    "masked": np.ma.array([1, 2], mask=[True, False]),
    "structured": np.zeros(1, dtype=[("a", "i4")]),
    "bytes array": np.array([b"x"]),
    "long double": np.longdouble(1),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_has_no_form_is_left_to_stock_scrapbook(value: Any) -> None:
    with pytest.raises(Unsupported):
        encode(value)


def test_without_the_packages_arrays_and_series_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    array, series, stamp = (scrap(v) for v in (np.ones((1, 2)), pd.Series([1, 2]), STAMPS["fine"][0]))
    monkeypatch.setattr("nbprod.scraps.tags.find_spec", lambda _: None)
    assert (array.value(), series.value()) == ([[1.0, 1.0]], [1, 2])
    assert stamp.value().endswith(".000000001")


@pytest.mark.parametrize(
    "module",
    [
        "kernels/_in_kernel.py",
        "kernels/_in_ipykernel.py",
        "kernels/_in_lookups.py",
        "kernels/_in_places.py",
        "kernels/_in_trace.py",
        "environment/_in_interpreter.py",
    ],
)
def test_what_runs_in_other_interpreters_keeps_to_their_syntax_and_library(module: str) -> None:
    tree = ast.parse((Path(nbprod.__file__).parent / module).read_text("utf-8"), feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names | {"IPython"}


def test_importing_it_installs_nothing() -> None:
    assert not any(hasattr(finder, "nbprod") for finder in sys.meta_path)
