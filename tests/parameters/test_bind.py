"""Values against a schema: what fits, what is converted, and all that is refused at once."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from nbprod.errors import ParameterError
from nbprod.parameters import Schema, Text, Unevaluated, bind

from .strategies import same

NEW_YEAR = date(2013, 1, 1)


class Artifact:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


FITS = {
    "int": ("int", 3, 3),
    "int for float": ("float", 3, 3.0),
    "big int for float stays": ("float", 2**53 + 1, 2**53 + 1),
    "numpy": ("float", np.float32(0.5), 0.5),
    "nan": ("float", math.nan, math.nan),
    "None": ("int | None", None, None),
    "Optional": ("Optional[str]", "x", "x"),
    "date from ISO": ("date", "2013-01-01", NEW_YEAR),
    "datetime from ISO": ("datetime", "2013-01-01T00:00:00Z", datetime(2013, 1, 1, tzinfo=UTC)),
    "datetime from YAML's date": ("datetime", NEW_YEAR, datetime(2013, 1, 1)),  # noqa: DTZ001
    "time from ISO": ("time", "12:30", time(12, 30)),
    "timedelta from ISO": ("timedelta", "P1DT2H", timedelta(days=1, hours=2)),
    "Path from str": ("Path", "a/b", Path("a/b")),
    "Path from object": ("Path", Artifact("a/b"), Path("a/b")),
    "str from object": ("str", Artifact("a/b"), "a/b"),
    "str from Path": ("str", Path("a/b"), "a/b"),
    "Decimal from str": ("Decimal", "1.50", Decimal("1.50")),
    "Decimal from int": ("Decimal", 2, Decimal(2)),
    "UUID from str": ("UUID", str(UUID(int=1)), UUID(int=1)),
    "tuple from list": ("tuple[int, str]", [1, "a"], (1, "a")),
    "tuple of any length": ("tuple[date, ...]", ["2013-01-01"], (NEW_YEAR,)),
    "set from list": ("set[int]", [1, 2, 2], {1, 2}),
    "frozenset from list": ("frozenset[int]", [1], frozenset({1})),
    "list from tuple": ("list[int]", (1, 2), [1, 2]),
    "dict of dates": ("dict[str, date]", {"a": "2013-01-01"}, {"a": NEW_YEAR}),
    "dict with int keys": ("dict[int, str]", {"1": "a"}, {1: "a"}),
    "nested": ("dict[str, list[Path | None]]", {"a": ["p", None]}, {"a": [Path("p"), None]}),
    "literal": ("Literal['a', 1, None]", 1, 1),
    "union keeps what fits as it is": ("date | str", "2013-01-01", "2013-01-01"),
    "union converts else": ("date | int", "2013-01-01", NEW_YEAR),
    "union is exact": ("float | int", 3, 3),
    "any": ("Any", {"x": (1,)}, {"x": (1,)}),
    "unknown type": ("pd.DataFrame", "x", "x"),
}


@pytest.mark.parametrize(("kind", "given", "value"), FITS.values(), ids=FITS)
def test_fits(kind, given, value):
    assert same(bind(Schema.from_source(f"x: {kind}"), {"x": given}).values["x"], value)


REFUSED = {
    "bool for int": ("int", True, "True (bool)"),
    "bool for float": ("float", True, "True (bool)"),
    "float for int": ("int", 3.0, "3.0 (float)"),
    "text for int": ("int", "3", "'3' (str)"),
    "None for int": ("int", None, "None"),
    "int for str": ("str", 7, "7 (int)"),
    "datetime for date": ("date", datetime(2013, 1, 1), "datetime.datetime(2013, 1, 1, 0, 0) (datetime)"),  # noqa: DTZ001
    "no date": ("date", "tomorrow", "'tomorrow' (str)"),
    "number for timedelta": ("timedelta", 90, "90 (int)"),
    "float for Decimal": ("Decimal", 0.1, "0.1 (float)"),
    "inner item": ("list[int]", [1, "a"], "'a' (str) at [1]"),
    "deep item": ("dict[str, list[int]]", {"k": [1, None]}, "None at ['k'][1]"),
    "item in union": ("list[int] | None", [1, "a"], "'a' (str) at [1]"),
    "key": ("dict[int, int]", {"a": 1}, "key 'a' (str)"),
    "length": ("tuple[int, int]", [1], "a length of 1: (1,) (tuple)"),
    "not a member": ("Literal[1, 'a']", True, "True (bool)"),
    "list for dict": ("dict", [1], "[1] (list)"),
    "no codec": ("Any", object, "<class 'object'> (type)"),
}


@pytest.mark.parametrize(("kind", "given", "found"), REFUSED.values(), ids=REFUSED)
def test_refused(kind, given, found):
    with pytest.raises(ParameterError) as caught:
        bind(Schema.from_source(f"x: {kind}"), {"x": given})
    (fault,) = caught.value.faults
    assert fault.parameter == "x"
    assert fault.found == found


INFERRED = {
    "int takes float": ("3", 2.5, True),
    "int takes int": ("3", 2, True),
    "int refuses text": ("3", "2", False),
    "int refuses bool": ("3", True, False),
    "float refuses text": ("0.5", "x", False),
    "None takes anything": ("None", [1], True),
    "not evaluated takes anything": ("f()", "x", True),
    "str refuses int": ("'a'", 1, False),
    "list takes any items": ("[1]", ["a"], True),
    "dict refuses list": ("dict(a=1)", [1], False),
}


@pytest.mark.parametrize(("default", "given", "fits"), INFERRED.values(), ids=INFERRED)
def test_inferred(default, given, fits):
    schema = Schema.from_source(f"x = {default}")
    if fits:
        assert same(bind(schema, {"x": given}).values["x"], given)
    else:
        with pytest.raises(ParameterError):
            bind(schema, {"x": given})


def test_all_faults_at_once():
    schema = Schema.from_source("alpha: float = 0.1\nbeta: int\ncode: str = 'a'")
    with pytest.raises(ParameterError) as caught:
        bind(schema, {"alhpa": 1, "code": 7, "x=__import__('os').system('id')": 1}, what="train.ipynb")
    text = str(caught.value)
    assert "train.ipynb" in text
    assert "did you mean alpha?" in text
    assert "code: expected str, got 7 (int)" in text
    assert "beta: expected int, got nothing" in text
    assert "expected a Python identifier" in text
    assert len(caught.value.faults) == 4
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults
    assert bind(schema, {"beta": 1}).given == ("beta",)


@pytest.mark.parametrize(
    "name", ["x=__import__('os').system('id');y", "class", "a b", "", "x\n", "ﬁ", "__debug__", 3], ids=ascii
)
@pytest.mark.parametrize("schema", [Schema.from_source("x = 1"), Schema(open=True)], ids=["closed", "open"])
def test_names_that_are_code_are_refused(name, schema):
    with pytest.raises(ParameterError):
        bind(schema, {name: 1})
    assert bind(schema, {"x": 1}).overrides == {"x": 1}


def test_without_a_parameters_cell_any_value_is_refused_with_a_hint():
    with pytest.raises(ParameterError, match="tagged `parameters`"):
        bind(Schema(declared=False), {"x": 1})
    assert bind(Schema(declared=False), {}).values == {}


def test_parameters():
    schema = Schema.from_source("a = [1]\nb: float = 0.5\nc = f()\nd: date = None")
    parameters = bind(schema, {"d": "2013-01-01", "b": 1})
    assert parameters.values == {"a": [1], "b": 1.0, "d": NEW_YEAR}
    assert parameters.overrides == {"b": 1.0, "d": NEW_YEAR}
    assert parameters.given == ("b", "d")
    assert parameters.unevaluated == (("c", "f()"),)
    assert parameters.tagged() == {
        "a": [1],
        "b": {"$nbprod": "float", "value": "1.0"},
        "d": {"$nbprod": "date", "value": "2013-01-01"},
    }
    parameters.values["a"].append(2)
    assert parameters.values["a"] == [1]
    assert pickle.loads(pickle.dumps(parameters)) == parameters


def test_the_callers_containers_are_copied():
    mine = [1]
    parameters = bind(Schema.from_source("a = []"), {"a": mine})
    mine.append(2)
    assert parameters.values["a"] == [1]


def test_an_unevaluated_default_handed_back_is_not_given():
    schema = Schema.from_source("x: int = f()")
    assert bind(schema, {"x": Unevaluated("f()")}).given == ()
    assert bind(schema, {"x": Text("3")}).overrides == {"x": 3}


@pytest.mark.parametrize("value", [1.5, Text("1.5"), Text("soon")], ids=repr)
def test_a_refused_duration_names_forms_that_fit(value):
    with pytest.raises(ParameterError, match="P1DT2H, 90s or 01:30:00"):
        bind(Schema.from_source("from datetime import timedelta\ntd: timedelta"), {"td": value})
    for text in ("P1DT2H", "90s", "01:30:00"):
        bind(Schema.from_source("from datetime import timedelta\ntd: timedelta"), {"td": Text(text)})
