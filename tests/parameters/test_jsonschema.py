"""The JSON Schema and the signature of a notebook's schema."""

from __future__ import annotations

import inspect
import json
from datetime import date
from typing import Literal

import pytest
from jsonschema import Draft202012Validator, ValidationError

from nbprod.parameters import Schema, Unevaluated, bind, json_schema, signature

SOURCE = """
alpha: float = 0.1  # learning rate
start: date = date(2013, 1, 1)
names: list[str] = ["a"]
mode: Literal["fast", "slow"] = "fast"
window: tuple[int, int] = (1, 2)
tags: set[str] = set()
wait: timedelta = timedelta(hours=1)
out: Path | None = None
limit = float("inf")
weights: dict[str, float] = dict(a=1.0)
price: Decimal = Decimal("1.5")
n: int
when: datetime = now()
anything = None
"""


def schema():
    return json_schema(Schema.from_source(SOURCE), title="train", description="Trains")


def test_the_schema_is_valid_and_plain_json():
    found = json.loads(json.dumps(schema(), allow_nan=False))
    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["required"] == ["n"]
    assert found["additionalProperties"] is False
    assert found["properties"]["alpha"] == {"type": "number", "description": "learning rate", "default": 0.1}
    assert found["properties"]["start"] == {"type": "string", "format": "date", "default": "2013-01-01"}
    assert "default" not in found["properties"]["limit"]
    assert found["properties"]["when"]["$comment"] == "default: now()"


def test_its_defaults_are_valid_and_bind_to_the_same_values():
    found = schema()
    defaults = {name: part["default"] for name, part in found["properties"].items() if "default" in part}
    given = {**defaults, "n": 1}
    Draft202012Validator(found).validate(given)
    parsed = Schema.from_source(SOURCE)
    assert bind(parsed, given).values == bind(parsed, {"n": 1}).values


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": "x"},
        {"mode": "other"},
        {"window": [1]},
        {"window": [1, 2, 3]},
        {"tags": ["a", "a"]},
        {"other": 1},
        {"n": 1.5},
    ],
    ids=str,
)
def test_it_refuses(change):
    validator = Draft202012Validator(schema())
    validator.validate({"n": 1})
    with pytest.raises(ValidationError):
        validator.validate({"n": 1, **change})


def test_signature():
    found = signature(Schema.from_source("a: int\nb: Literal['x'] = 'x'\nc = [1]\nd: date\ne = f()\ng = None"))
    kinds = {name: parameter.kind.name for name, parameter in found.parameters.items()}
    assert kinds == {
        "a": "POSITIONAL_OR_KEYWORD",
        "b": "POSITIONAL_OR_KEYWORD",
        "c": "POSITIONAL_OR_KEYWORD",
        "d": "KEYWORD_ONLY",
        "e": "KEYWORD_ONLY",
        "g": "KEYWORD_ONLY",
    }
    assert found.parameters["a"].annotation is int
    assert found.parameters["b"].annotation == Literal["x"]
    assert found.parameters["d"].annotation is date
    assert found.parameters["d"].default is inspect.Parameter.empty
    assert found.parameters["e"].default == Unevaluated("f()")
    assert found.bind(1, d=date(2013, 1, 1)).arguments == {"a": 1, "d": date(2013, 1, 1)}
