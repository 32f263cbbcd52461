"""The injected cell evaluates back to the values, whatever they are, and holds nothing but assignments."""

from __future__ import annotations

import ast
import json
import keyword
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from papermill.translators import PythonTranslator

from nbprod.digest import canonical
from nbprod.errors import ParameterError
from nbprod.parameters.codec import tag, untag
from nbprod.parameters.inject import injected_source
from nbprod.parameters.literal import literal
from nbprod.parameters.plain import MAX_DEPTH
from tests.parameters.strategies import names, same, values

_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.USub, ast.Load, ast.keyword)
_BUILTINS = {"float", "complex", "set", "frozenset"}
_KNOWN = {
    "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone",
    "datetime.timezone.utc", "decimal.Decimal", "uuid.UUID", "pathlib.Path", "zoneinfo.ZoneInfo",
    *(f"builtins.{name}" for name in _BUILTINS),
}  # fmt: skip


def assert_only_assignments(source: str, expected: list[str]) -> None:
    body = ast.parse(source).body
    assigned = [statement for statement in body if not isinstance(statement, ast.Import)]
    assert all(isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) for s in assigned)
    assert [s.targets[0].id for s in assigned] == expected
    for statement in assigned:
        todo = [statement.value]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node).lstrip("_").removeprefix("nbprod_") in _KNOWN
            elif isinstance(node, ast.Name):
                assert node.id in _BUILTINS
            else:
                assert isinstance(node, (*_LITERALS, ast.Call)), ast.dump(node)
                todo += ast.iter_child_nodes(node)


def run(source: str) -> dict[str, object]:
    namespace: dict[str, object] = {}
    exec(compile(source, "cell", "exec"), namespace)
    return namespace


@given(st.dictionaries(names, values, max_size=4))
@example({"float": 1, "set": set(), "x": math.nan, "frozenset": frozenset(), "complex": 1j})
@example({"_nbprod_datetime": date(2013, 1, 1), "__nbprod_x": 1, "datetime": timedelta(-1)})
def test_injected_cell_evaluates_back(parameters):
    assume(not any(keyword.iskeyword(name) for name in parameters))
    source = injected_source(parameters)
    assert source.startswith("# Parameters\n")
    assert_only_assignments(source, list(parameters))
    namespace = run(source)
    assert all(same(namespace[name], value) for name, value in parameters.items())


@given(values)
def test_ipython_leaves_the_injected_cell_alone(value):
    source = injected_source({"x": value, "y": [value, value]})
    assert TransformerManager().transform_cell(source) == source


@given(values)
@example(time(tzinfo=timezone(timedelta(microseconds=-1))))
@example(datetime(2020, 1, 1, tzinfo=timezone(timedelta(microseconds=1), "odd")))
def test_a_recorded_value_is_injected_as_the_given_one(value):
    again = untag(json.loads(canonical(tag(value))))
    assert same(run(injected_source({"x": again}))["x"], value)


@pytest.mark.parametrize("deepen", [lambda v: [v], lambda v: frozenset({v}), lambda v: {"k": v}, lambda v: (v,)])
def test_the_deepest_nesting_that_is_taken_still_parses(deepen):
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = deepen(value)
    assert same(run(injected_source({"x": value}))["x"], value)


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        (math.nan, "float('nan')"),
        (-math.inf, "float('-inf')"),
        (datetime(2013, 1, 1, tzinfo=UTC), "datetime.datetime(2013, 1, 1, tzinfo=datetime.timezone.utc)"),
        (date(2013, 1, 1), "datetime.date(2013, 1, 1)"),
        (timedelta(days=1), "datetime.timedelta(days=1)"),
        (Decimal("1.50"), "decimal.Decimal('1.50')"),
        (Path("a b"), "pathlib.Path('a b')"),
        (UUID(int=1), "uuid.UUID('00000000-0000-0000-0000-000000000001')"),
        ({"a": (1,)}, "{'a': (1,)}"),
        ({2, 1}, "{1, 2}"),
        (set(), "set()"),
        ("\ud800\u202e\n", r"'\ud800\u202e\n'"),
    ],
    ids=repr,
)
def test_literal(value, expression):
    assert literal(value).expression == expression


@pytest.mark.parametrize(
    "name",
    [
        "x=__import__('os').system('id');y",
        "x\nimport os",
        "class",
        "None",
        "__debug__",
        "",
        "a b",
        "1a",
        "a.b",
        "ﬁ",
        "a#",
    ],
    ids=ascii,
)
def test_names_that_are_not_names_are_refused(name):
    with pytest.raises(ParameterError):
        injected_source({name: 1})
    assert injected_source({"x": 1}) == "# Parameters\nx = 1\n"


def test_a_long_value_is_written_item_by_item():
    value = {"a" * 40: ["b" * 60], "c": math.nan}
    source = injected_source({"x": value})
    assert len(source.splitlines()) == 5
    assert same(run(source)["x"], value)


def test_a_name_that_the_notebook_uses_is_not_relied_upon():
    source = injected_source({"x": frozenset({1})}, taken={"frozenset"})
    namespace: dict[str, object] = {"frozenset": None}
    exec(source, namespace)
    assert namespace["x"] == frozenset({1})


def test_papermills_own_cell_fails_these_tests():
    """The control: what is asked of the injected cell is not met by chance."""
    hidden = PythonTranslator.codify({"x = print('run'); y": 1})
    with pytest.raises(AssertionError):
        assert_only_assignments(hidden, ["x"])
    assert not same(run(PythonTranslator.codify({"x": (1, 2)}))["x"], (1, 2))


def test_a_comment_of_several_lines_stays_a_comment():
    source = injected_source({"x": 1}, comment="one\rimport os\ntwo")
    assert_only_assignments(source, ["x"])
