"""`-p name text`: read by the declared type first, as papermill infers where nothing is declared."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from papermill.cli import _resolve_type

from nbprod.errors import ParameterError
from nbprod.parameters import Schema, Text, bind
from nbprod.parameters.duration import format_duration, parse_duration
from nbprod.parameters.text import papermill_inference

from .strategies import same

READS = {
    "str keeps zeros": ("x: str", "007", "007"),
    "str keeps words": ("x: str", "True", "True"),
    "str may be empty": ("x: str", "", ""),
    "int": ("x: int", "-3", -3),
    "big int": ("x: int", str(10**40), 10**40),
    "float": ("x: float", "1", 1.0),
    "float nan": ("x: float", "nan", math.nan),
    "float inf": ("x: float", "-inf", -math.inf),
    "bool": ("x: bool", "true", True),
    "bool, Python's": ("x: bool", "False", False),
    "None": ("x: int | None", "null", None),
    "None for Optional[str]": ("x: Optional[str]", "None", None),
    "null is a text for str": ("x: str", "null", "null"),
    "date": ("x: date", "2013-01-01", date(2013, 1, 1)),
    "datetime": ("x: datetime", "2013-01-01T10:00+00:00", datetime(2013, 1, 1, 10, tzinfo=UTC)),
    "time": ("x: time", "10:30:00", time(10, 30)),
    "timedelta ISO": ("x: timedelta", "P1D", timedelta(1)),
    "timedelta clock": ("x: timedelta", "26:00:00", timedelta(hours=26)),
    "timedelta units": ("x: timedelta", "1h30m", timedelta(minutes=90)),
    "Path": ("x: Path", "a b", Path("a b")),
    "Decimal": ("x: Decimal", "0.10", Decimal("0.10")),
    "UUID": ("x: UUID", str(UUID(int=1)), UUID(int=1)),
    "list": ("x: list[date]", '["2013-01-01"]', [date(2013, 1, 1)]),
    "dict": ("x: dict[int, float]", '{"1": 2}', {1: 2.0}),
    "tuple": ("x: tuple[int, str]", '[1, "a"]', (1, "a")),
    "set": ("x: set[int]", "[1, 1]", {1}),
    "NaN in JSON": ("x: list[float]", "[NaN]", [math.nan]),
    "Literal": ("x: Literal['a', 'b']", "b", "b"),
    "Literal of a number": ("x: Literal[1, 2]", "2", 2),
    "Literal in order": ("x: Literal['1', 1]", "1", "1"),
    "Literal bool": ("x: Literal[True, 'auto']", "true", True),
    "union in order": ("x: int | str", "7", 7),
    "union in order, str first": ("x: str | int", "7", "7"),
    "union is exact": ("x: int | str", "007", "007"),
    "union, float and int": ("x: float | int", "7", 7),
    "union, float of int-like": ("x: float | None", "7", 7.0),
    "union falls through": ("x: int | str", "abc", "abc"),
    "union of dates": ("x: datetime | date", "2013-01-01", date(2013, 1, 1)),
    "union with list": ("x: list[int] | str", "[1]", [1]),
    "inferred int": ("x = 3", "7", 7),
    "inferred int takes float": ("x = 3", "7.5", 7.5),
    "inferred float": ("x = 0.5", "1", 1.0),
    "inferred str": ("x = 'a'", "007", "007"),
    "inferred list": ("x = []", "[1]", [1]),
    "inferred date": ("x = date(2013, 1, 1)", "2014-01-01", date(2014, 1, 1)),
    "nothing declared": ("x = None", "007", 7),
    "nothing declared, word": ("x = None", "True", True),
    "nothing declared, text": ("x = f()", "abc", "abc"),
    "Any": ("x: Any", "1e3", 1000.0),
    "quotes are text": ("x: str", '"a"', '"a"'),
}


@pytest.mark.parametrize(("source", "text", "value"), READS.values(), ids=READS)
def test_reads(source, text, value):
    assert same(bind(Schema.from_source(source), {"x": Text(text)}).values["x"], value)


REFUSES = {
    "int": ("x: int", "3.5", "int"),
    "None for int": ("x: int", "None", "int"),
    "bool": ("x: bool", "1", "bool"),
    "float": ("x: float", "", "float"),
    "date": ("x: date", "01.02.2013", "date"),
    "timedelta": ("x: timedelta", "90", "timedelta"),
    "not JSON": ("x: list[int]", "1,2", "list[int] as JSON"),
    "wrong item": ("x: list[int]", '[1, "a"]', "list[int] as JSON"),
    "key twice": ("x: dict", '{"a": 1, "a": 2}', "dict as JSON"),
    "deep JSON": ("x: list", "[" * 100_000, "list as JSON"),
    "Literal": ("x: Literal['a']", "b", "Literal['a']"),
    "union": ("x: int | None", "a", "int | None"),
    "inferred": ("x = 3", "abc", "int"),
    "inferred bool": ("x = True", "1", "bool"),
    "too many digits": ("x: int", "9" * 5000, "int"),
}


@pytest.mark.parametrize(("source", "text", "expected"), REFUSES.values(), ids=REFUSES)
def test_refuses(source, text, expected):
    with pytest.raises(ParameterError) as caught:
        bind(Schema.from_source(source), {"x": Text(text)})
    (fault,) = caught.value.faults
    assert fault.expected == expected
    assert len(str(fault)) < 400


@given(st.text(max_size=12) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["True", "1_0", " 1"]))
def test_inference_is_papermills(text):
    assert same(papermill_inference(text), _resolve_type(text))


@given(st.text())
def test_a_declared_str_is_the_text_itself(text):
    assert bind(Schema.from_source("x: str"), {"x": Text(text)}).values == {"x": text}


@given(st.timedeltas())
def test_durations_round_trip(value):
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    "text", ["P", "PT", "P1Y", "P1M", "", "1", "-", "1x", "0.0000001s", "P1D2H", "1:2:3", f"{10**20}d", "PT1", "P-1D"]
)
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match=r"duration|microsecond"):
        parse_duration(text)
