"""The JSON form of values: a round trip through canonical bytes, and what is refused."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict, namedtuple
from datetime import date, datetime, tzinfo
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from nbprod.digest import canonical
from nbprod.errors import CallerError, UnsupportedVersion
from nbprod.parameters.codec import tag, untag
from nbprod.parameters.plain import MAX_DEPTH, plain
from tests.parameters.strategies import same, values


@given(values)
def test_round_trip_through_canonical_bytes(value):
    assert same(untag(json.loads(canonical(tag(value)))), value)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (1, 1),
        (1.5, 1.5),
        (True, True),
        ("é", "é"),
        ([None, {"a": 1}], [None, {"a": 1}]),
        (1.0, {"$nbprod": "float", "value": "1.0"}),
        (-0.0, {"$nbprod": "float", "value": "-0.0"}),
        (math.nan, {"$nbprod": "float", "value": "nan"}),
        (2**53, {"$nbprod": "int", "value": "9007199254740992"}),
        ((1,), {"$nbprod": "tuple", "value": [1]}),
        (date(2013, 1, 1), {"$nbprod": "date", "value": "2013-01-01"}),
        (Path("a/b"), {"$nbprod": "path", "value": "a/b"}),
        ({1: "a"}, {"$nbprod": "dict", "value": [[1, "a"]]}),
    ],
    ids=repr,
)
def test_form(value, form):
    assert tag(value) == form


def test_equal_sets_and_dicts_have_equal_bytes():
    assert canonical(tag({"b", "a", "c"})) == canonical(tag({"c", "b", "a"}))
    assert canonical(tag({1: 2, 3: 4})) == canonical(tag({3: 4, 1: 2}))


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(enum.StrEnum):
    A = "a"


class Shouting(str):
    __slots__ = ()

    def __eq__(self, other):
        return False

    __hash__ = str.__hash__


class OddZone(tzinfo):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.datetime64("2013-01-01"), date(2013, 1, 1)),
        (Level.HIGH, 3),
        (Name.A, "a"),
        (OrderedDict(a=1), {"a": 1}),
        (pd.Timestamp("2013-01-01"), datetime(2013, 1, 1)),  # noqa: DTZ001
        (PurePosixPath("x"), Path("x")),
    ],
    ids=repr,
)
def test_values_that_equal_a_plain_one_become_it(value, expected):
    assert same(plain(value), expected)
    assert same(plain([value]), [expected])


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Colour.RED,
        Shouting("x"),
        np.array([1]),
        np.longdouble(1),
        np.datetime64("2013-01-01T00:00:00.000000001"),
        pd.Timestamp("2013-01-01T00:00:00.000000001"),
        pd.Timedelta(1, "ns"),
        pd.NaT,
        pd.DataFrame(),
        namedtuple("P", "x")(1),  # noqa: PYI024
        datetime(2013, 1, 1, tzinfo=OddZone()),
        len,
        range(3),
    ],
    ids=lambda v: type(v).__name__,
)
def test_values_without_a_codec_are_refused_never_made_text(value):
    with pytest.raises(CallerError, match="cannot be a parameter"):
        tag({"deep": [value]})


def test_a_container_inside_itself_is_refused():
    loop: list[object] = []
    loop.append({"again": loop})
    with pytest.raises(CallerError, match="holds itself"):
        tag(loop)
    shared = [1]
    assert tag([shared, shared]) == [[1], [1]]


def test_nesting_is_bounded():
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = frozenset({(deep,)}) if isinstance(deep, int) else [deep]
    with pytest.raises(CallerError, match="too deep"):
        tag(deep)
    fits: object = 1
    for _ in range(MAX_DEPTH):
        fits = [fits]
    assert untag(json.loads(canonical(tag(fits)))) == fits


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"$nbprod": "quaternion", "value": 1}, UnsupportedVersion),
        ({"$nbprod": [], "value": 1}, UnsupportedVersion),
        ({"$nbprod": "date", "value": "yesterday"}, CallerError),
        ({"$nbprod": "int"}, CallerError),
        ({"$nbprod": "path", "value": {"$nbprod": "date", "value": 1}}, CallerError),
    ],
    ids=str,
)
def test_broken_tags_are_refused(form, error):
    with pytest.raises(error):
        untag(form)
