"""Lists of values as text, and the settings that they span."""

import contextlib
import itertools
import json
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import CallerError
from nbprod.parameters import Schema, Text
from nbprod.parameters.grid import Axis, expand, listed, values_in
from nbprod.parameters.types import ANY

MOST = 1000


def spec_of(declaration):
    [parameter] = Schema.from_source(declaration)
    return parameter.accepts


def read(text, declaration="x: str"):
    return [
        value.text if isinstance(value, Text) else value
        for value in values_in("x", text, spec_of(declaration), most=MOST)
    ]


def quoted(text, quote='"'):
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6), st.sampled_from("'\""), st.sampled_from([",", " , "]))
def test_quoted_texts_come_back_whatever_is_in_them(texts, quote, comma):
    assert read(comma.join(quoted(text, quote) for text in texts)) == texts


plain_words = st.text(st.characters(exclude_characters=",'\"[]{}()"), min_size=1, max_size=8).filter(
    lambda text: text.strip() == text
)


@given(st.lists(plain_words, min_size=1, max_size=6))
def test_plain_words_come_back_without_quotes(words):
    assert read(",".join(words)) == words


json_values = st.recursive(
    st.integers() | st.text(max_size=5) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, list | dict))


@given(st.lists(json_values, min_size=1, max_size=4))
def test_containers_in_json_come_back_whole(values):
    texts = [json.dumps(value) for value in values]
    assert read(",".join(texts), "x: list | dict") == texts


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-7, 7))
def test_a_range_is_python_s_with_its_end(start, stop, step):
    text = f"{start}..{stop}..{step}"
    if step == 0 or (stop - start) * step < 0:
        with pytest.raises(CallerError, match="is empty"):
            read(text, "x: int")
    else:
        assert read(text, "x: int") == list(range(start, stop + (1 if step > 0 else -1), step))


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(CallerError):
        assert read(text)


@pytest.mark.parametrize(
    ("declaration", "text", "values"),
    [
        ("x: int", "1,3..5,9", ["1", 3, 4, 5, "9"]),
        ("x = 1", "0..2", [0, 1, 2]),
        ("x: float", "0..2", [0, 1, 2]),
        ("x: int | None = None", "None,0..1", ["None", 0, 1]),
        ("x = None", "0..1", [0, 1]),
        ("x: str", "0..2", ["0..2"]),
        ("x: bool", "0..1", ["0..1"]),
        ("x: Path", "../data,0..1", ["../data", "0..1"]),
        ("x: int", '"0..2"', ["0..2"]),
        ("x: date", "2013-01-30..2013-02-01", [date(2013, 1, 30), date(2013, 1, 31), date(2013, 2, 1)]),
        ("x: datetime", "2013-01-01..2013-01-08..7", [date(2013, 1, 1), date(2013, 1, 8)]),
        ("x: str", "2013-01-30..2013-02-01", ["2013-01-30..2013-02-01"]),
        ("x: date", "2013-02-30..2013-03-01", ["2013-02-30..2013-03-01"]),
        ("x: float", "0.1..0.5", ["0.1..0.5"]),
        ("x: str", "don't,can't", ["don't", "can't"]),
        ("x: str", " a , b ", ["a", "b"]),
        ("x: str", ":),[a,b]", [":)", "[a,b]"]),
        ("x: list", "[1,2],[3,4]", ["[1,2]", "[3,4]"]),
        ("x: list", '["]",","],[]', ['["]",","]', "[]"]),
        ("x: str", '""', [""]),
        ("x: str", r'"\"a\"","\n"', ['"a"', r"\n"]),
    ],
)
def test_the_declared_type_says_what_a_range_is(declaration, text, values):
    imports = "from datetime import date, datetime\nfrom pathlib import Path\n"
    [parameter] = Schema.from_source(imports + declaration)
    found = values_in("x", text, parameter.accepts, most=MOST)
    assert [value.text if isinstance(value, Text) else value for value in found] == values
    assert not any(isinstance(value, datetime) for value in found)


def test_days_of_no_declared_type_are_text():
    assert values_in("x", "2013-01-30..2013-02-01", ANY, most=MOST) == (Text("2013-01-30..2013-02-01"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no value"),
        (" ", "no value"),
        ("1,,2", "is missing"),
        ("1,", "is missing"),
        (",1", "is missing"),
        ("[1,2", r"a \[ in the values of x is never closed"),
        ('["a', 'a " in the values'),
        ("'a", "a ' in the values"),
        ('"a"b', "follows a closing quote"),
        ("9..0", "Write 9..0..-1 to count down"),
        ("0..9..0", "is empty"),
        ("0..1000", "at most 1,000. Found: 1,001"),
        ("0..99999999999999999", "too many"),
        (",".join(["0..400"] * 3), "too many"),
    ],
)
def test_what_is_no_list_is_refused(text, says):
    with pytest.raises(CallerError, match=says):
        read(text, "x: int")


axes = st.lists(st.lists(st.integers(), min_size=1, max_size=4), max_size=4).map(
    lambda lists: [Axis(f"p{place}", tuple(values)) for place, values in enumerate(lists)]
)


@given(axes, st.lists(st.integers(), min_size=1, max_size=3))
def test_a_grid_has_each_combination_once_and_the_last_axis_is_the_fastest(given_axes, numbers):
    rows = [{"row": number, "place": place} for place, number in enumerate(numbers)]
    settings = expand(given_axes, rows, most=MOST)
    size = len(rows)
    for axis in given_axes:
        size *= len(axis.values)
    assert len(settings) == size
    places = [
        (row["place"], *point) for row in rows for point in itertools.product(*(axis.values for axis in given_axes))
    ]
    assert [(s["place"], *(s[axis.name] for axis in given_axes)) for s in settings] == places


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=4))
def test_pairs_go_together_and_single_values_go_with_all(length, long):
    given_axes = [
        Axis(f"p{place}", tuple(range(length)) if is_long else ("one",)) for place, is_long in enumerate(long)
    ]
    settings = expand(given_axes, paired=True, most=MOST)
    assert len(settings) == (length if any(long) else 1)
    for place, setting in enumerate(settings):
        assert setting == {
            axis.name: axis.values[place] if len(axis.values) > 1 else axis.values[0] for axis in given_axes
        }


@pytest.mark.parametrize(
    ("given_axes", "rows", "how", "says"),
    [
        ([Axis("a", (1,)), Axis("a", (2,))], [{}], {}, "a are given twice"),
        ([Axis("a", (1,))], [{"a": 1}], {}, "a are given twice"),
        ([Axis("a", ())], [{}], {}, "no value for a"),
        ([], [], {}, "no rows"),
        ([Axis("a", (1, 2)), Axis("b", (1, 2, 3))], [{}], {"paired": True}, "a has 2, b has 3"),
        ([Axis("a", tuple(range(100))), Axis("b", tuple(range(11)))], [{}], {}, "at most 1,000. Found: 1,100"),
    ],
)
def test_what_spans_no_settings_is_refused(given_axes, rows, how, says):
    with pytest.raises(CallerError, match=says):
        expand(given_axes, rows, most=MOST, **how)


@pytest.mark.parametrize("values", ["abc", b"abc", {"a": 1}, 3, None])
def test_a_single_value_is_no_list(values):
    with pytest.raises(CallerError, match="are no list"):
        listed("x", values)


def test_iterables_are_lists():
    assert listed("x", range(3)) == listed("x", iter([0, 1, 2])) == (0, 1, 2)
