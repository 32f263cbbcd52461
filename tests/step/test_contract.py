"""What a run must leave: each rule against values that fit and values that don't."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import SettingsError
from nbprod.step.contract import Contract, ScrapRule

MISSING = object()


@pytest.mark.parametrize(
    ("rule", "value", "met"),
    [
        ({}, 1, True),
        ({}, None, True),
        ({}, MISSING, False),
        ({"type": "float"}, 1, True),
        ({"type": "float"}, True, False),
        ({"type": "float"}, "1", False),
        ({"type": "int"}, 1, True),
        ({"type": "int"}, 1.0, False),
        ({"type": "int"}, True, False),
        ({"type": "bool"}, True, True),
        ({"type": "bool"}, 1, False),
        ({"type": "str"}, "x", True),
        ({"type": "list"}, [1], True),
        ({"type": "list"}, (1,), True),
        ({"type": "list"}, {}, False),
        ({"type": "dict"}, {}, True),
        ({"min": 0.6}, 0.6, True),
        ({"min": 0.6}, 0.59, False),
        ({"max": 0.25}, 0.25, True),
        ({"max": 0.25}, 0.26, False),
        ({"min": 0, "max": 1}, math.nan, False),
        ({"max": 1}, math.nan, False),
        ({"min": 1}, math.inf, True),
        ({"min": 1}, True, False),
        ({"min": 1}, "2", False),
        ({"min": 1}, None, False),
        ({"one_of": ["a", "b"]}, "a", True),
        ({"one_of": ["a", "b"]}, "c", False),
        ({"one_of": ["a"]}, ["a"], False),
    ],
)
def test_rules(rule: dict[str, Any], value: Any, met: bool) -> None:  # noqa: FBT001
    contract = Contract.parse({"scraps": {"auc": rule}}, "expect")
    scraps = {} if value is MISSING else {"auc": value}
    (line,) = contract.check({"other": 1, **scraps}, [])
    assert line.met is met
    assert line.text.startswith("scrap auc: ")
    assert line.found == ("no such scrap (glued: other)" if value is MISSING else repr(value))


def test_lines_say_what_was_required() -> None:
    contract = Contract.parse(
        {"scraps": {"auc": {"type": "float", "min": 0.6, "max": 1}}, "artifacts": ["m.skops", "*.csv"]}, "expect"
    )
    lines = contract.check({"auc": 0.5}, ["a.csv", "b.csv"])
    assert [(line.text, line.met, line.found) for line in lines] == [
        ("scrap auc: float, at least 0.6, at most 1", False, "0.5"),
        ("artifact m.skops", False, "no such file (left: a.csv, b.csv)"),
        ("artifact *.csv", True, "a.csv, b.csv"),
    ]


def test_the_short_form_names_scraps_only() -> None:
    assert Contract.parse({"scraps": ["a", "b"]}, "expect").scraps == (ScrapRule(name="a"), ScrapRule(name="b"))


numbers = st.none() | st.integers(-9, 9) | st.floats(-9, 9)
rules = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["float", "int", "str", "bool", "list", "dict"]),
        "min": numbers.filter(lambda value: value is not None),
        "max": numbers.filter(lambda value: value is not None),
        "one_of": st.lists(st.text(max_size=3), min_size=1, max_size=3),
    },
)


@given(st.dictionaries(st.text(max_size=5), rules, max_size=3), st.lists(st.text(max_size=5), max_size=3))
def test_a_contract_survives_its_own_form(scraps: dict[str, Any], artifacts: list[str]) -> None:
    contract = Contract.parse({"scraps": scraps, "artifacts": artifacts}, "expect")
    assert Contract.parse(contract.to_json(), "the record") == contract


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"scrap": {}}, "unknown key 'scrap'"),
        ({"scraps": 3}, "a table of scraps"),
        ({"scraps": {"a": 3}}, "a table with type, min"),
        ({"scraps": {"a": {"minimum": 3}}}, "unknown key 'minimum'"),
        ({"scraps": {"a": {"type": "number"}}}, "one of float, int"),
        ({"scraps": {"a": {"min": "3"}}}, "a number"),
        ({"scraps": {"a": {"max": True}}}, "a number"),
        ({"scraps": {"a": {"one_of": "abc"}}}, "a list of values"),
        ({"artifacts": "m.skops"}, "a list of file names"),
        ({"artifacts": [3]}, "a list of file names"),
    ],
)
def test_wrong_tables_are_refused(table: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        Contract.parse(table, "[tool.nbprod.steps.x] expect")
    assert "[tool.nbprod.steps.x] expect" in str(caught.value)
