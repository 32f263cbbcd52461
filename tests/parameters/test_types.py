"""Declared types: how annotations are read, described, and given to JSON Schema and Python."""

from __future__ import annotations

import ast
import pickle
import typing
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from nbprod.parameters.annotation import parse_annotation, parse_type_comment
from nbprod.parameters.names import Names
from nbprod.parameters.types import Anything

ANNOTATIONS = {
    "int": ("int", int),
    "typing.Optional[int]": ("int | None", int | None),
    "None | int": ("int | None", int | None),
    "Union[int, Union[str, int]]": ("int | str", int | str),
    "Union[int]": ("int", int),
    "builtins.str": ("str", str),
    "pathlib.Path": ("Path", Path),
    "os.PathLike[str]": ("Path", Path),
    "list": ("list", list[typing.Any]),
    "List[List[int]]": ("list[list[int]]", list[list[int]]),
    "Sequence[str]": ("list[str]", list[str]),
    "collections.abc.Mapping[str, int]": ("dict[str, int]", dict[str, int]),
    "dict": ("dict", dict[typing.Any, typing.Any]),
    "set": ("set", set[typing.Any]),
    "set[int]": ("set[int]", set[int]),
    "FrozenSet[str]": ("frozenset[str]", frozenset[str]),
    "tuple": ("tuple", tuple[typing.Any, ...]),
    "tuple[int, ...]": ("tuple[int, ...]", tuple[int, ...]),
    "Tuple[int, str]": ("tuple[int, str]", tuple[int, str]),
    "tuple[()]": ("tuple[()]", tuple[()]),
    "Literal[-1, 'a', None, True]": (  # the order of the declaration is kept
        "Literal[-1, 'a', None, True]",
        typing.Literal[-1, "a", None, True],  # noqa: PYI061
    ),
    "Literal['a', Literal['b']]": ("Literal['a', 'b']", typing.Literal["a", "b"]),
    "Annotated[float, 'per day']": ("float", float),
    "Final[int]": ("int", int),
    "'list[\"int\"]'": ("list[int]", list[int]),
    "Any": ("Any", typing.Any),
    "object": ("Any", typing.Any),
    "None": ("None", None),
}
UNKNOWN = [
    "pd.DataFrame", "np.float64", "Literal[Colour.RED]", "Literal[1.5]", "dict[int]", "list[int, str]",
    "Callable[[int], str]",
    "f(int)", "'not an expression ='", "int.x", "foo.int",
    "type[int]", "1", "Union[()]", "Optional",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ANNOTATIONS.items(), ids=ANNOTATIONS)
def test_known(text, expected):
    spec = parse_type_comment(text)
    assert spec is not None
    assert (spec.describe(), spec.annotation()) == expected
    assert pickle.loads(pickle.dumps(spec)) == spec
    Draft202012Validator.check_schema(spec.json_schema())


@pytest.mark.parametrize("text", UNKNOWN)
def test_unknown_types_are_shown_and_take_anything(text):
    spec = parse_annotation(ast.parse(text, mode="eval").body)
    assert isinstance(spec, Anything)
    assert spec.describe() == ast.unparse(ast.parse(text, mode="eval"))
    assert spec.check(object()) is None


def test_the_cells_own_imports_decide_what_a_name_means():
    names = Names.of(ast.parse("import datetime as d, zipfile\nfrom zipfile import Path\nfrom typing import List as L"))

    def describe(text):
        return parse_annotation(ast.parse(text, mode="eval").body, names).describe()

    assert describe("d.date") == "date"
    assert describe("L[int]") == "list[int]"
    assert parse_annotation(ast.parse("Path", mode="eval").body, names) == Anything("Path")
    assert parse_annotation(ast.parse("Path", mode="eval").body).describe() == "Path"


def test_unhashable_items_for_a_set_are_left_for_the_check_to_refuse():
    spec = parse_type_comment("set[list[int]]")
    assert spec is not None
    assert spec.convert([[1]]) == [[1]]
    assert spec.check([[1]]) == "[[1]] (list)"
    keys = parse_type_comment("dict[float, int]")
    assert keys is not None
    assert keys.convert({"0.5": 1}) == {0.5: 1}
    assert keys.convert({"1": 1, "1.0": 2}) == {"1": 1, "1.0": 2}
