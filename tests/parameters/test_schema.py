"""What a parameters cell declares, read without running it."""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import math
import pickle
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from nbprod.errors import NotebookInvalid
from nbprod.parameters import REQUIRED, Schema, Unevaluated

from .strategies import same

CASES = {
    "annotated": ("x: int = 3", "int", 3, False),
    "required": ("x: int", "int", REQUIRED, False),
    "required, then given": ("x: int\nx = 5", "int", 5, False),
    "declared after": ("x = 1\nx: float", "float", 1, False),
    "type comment": ("x = 3  # type: float", "float", 3, False),
    "type comment with spaces": (
        "x = {}  # type: dict[str, int | None]  the weights",
        "dict[str, int | None]",
        {},
        False,
    ),
    "type ignore is no type": ("x = 3  # type: ignore[assignment]", "int", 3, True),
    "inferred int": ("x = 3", "int", 3, True),
    "inferred bool": ("x = True", "bool", True, True),
    "negative": ("x = -2.5", "float", -2.5, True),
    "None": ("x = None", "Any", None, False),
    "chain": ("y = x = 3", "int", 3, True),
    "dict call": ("x = dict(a=1, b=[2])", "dict", {"a": 1, "b": [2]}, True),
    "nested calls": ("x = dict(a=set([1]), b=Path('p'))", "dict", {"a": {1}, "b": Path("p")}, True),
    "equals in string": ("x = 'a=b'", "str", "a=b", True),
    "hash in string": ("x = 'a # b'  # help", "str", "a # b", True),
    "multi-line": ("x = [\n  1,  # one\n  2,\n]", "list", [1, 2], True),
    "triple quotes": ('x = """a\n%b = 1\n!c\n"""', "str", "a\n%b = 1\n!c\n", True),
    "backslash": ("x = \\\n  3", "int", 3, True),
    "semicolons": ("y = 1; x = 2", "int", 2, True),
    "tuple unpacking": ("y, x = 1, 'b'", "str", "b", True),
    "nested unpacking": ("(y, [x, z]) = (1, [2, 3])", "int", 2, True),
    "starred unpacking": ("y, *x = 1, 2, 3", "Any", Unevaluated("y, *x = (1, 2, 3)"), False),
    "later wins": ("x = 1\nx = 'b'", "str", "b", True),
    "later wins, type stays": ("x: float = 1.0\nx = 2", "float", 2, False),
    "not literal": ("x = f(1)", "Any", Unevaluated("f(1)"), False),
    "not literal, declared": ("x: int = f(1)", "int", Unevaluated("f(1)"), False),
    "arithmetic is shown": ("x = 60 * 60", "Any", Unevaluated("60 * 60"), False),
    "f-string is shown": ("x = f'{1}'", "Any", Unevaluated("f'{1}'"), False),
    "a required name": ("y: int\nx = y", "Any", Unevaluated("y"), False),
    "complex": ("x = 1 + 2j", "Any", 1 + 2j, False),
    "complex, minus": ("x = 1.5 - 2j", "Any", 1.5 - 2j, False),
    "unpacked dict": ("x = {**{'a': 1}, 'b': 2}", "dict", {"a": 1, "b": 2}, True),
    "unpacked call": ("x = dict(**{'a': 1})", "Any", Unevaluated("dict(**{'a': 1})"), False),
    "not": ("x = not True", "Any", Unevaluated("not True"), False),
    "minus a string": ("x = -'a'", "Any", Unevaluated("-'a'"), False),
    "math.inf": ("x = math.inf", "float", math.inf, True),
    "ellipsis": ("x = ...", "Any", Unevaluated("..."), False),
    "unpacking a call": ("y, x = f()", "Any", Unevaluated("y, x = f()"), False),
    "other name": ("y = 2\nx = y", "int", 2, True),
    "changed in place": ("x = {}\nx['a'] = 1", "dict", Unevaluated("x['a'] = 1"), True),
    "changed by method": ("x = []\nx.append(1)", "list", Unevaluated("x.append(1)"), True),
    "augmented": ("x = 1\nx += 1", "int", Unevaluated("x += 1"), True),
    "changed in a branch": ("x = 1\nif debug:\n    x = 2", "int", Unevaluated("if debug:\n    x = 2"), True),
    "changed in a match": ("x = 1\nmatch y:\n    case 1:\n        x = 2", "int", ..., True),
    "not changed by a function": ("x = 1\ndef f():\n    x = 2", "int", 1, True),
    "date": ("import datetime\nx = datetime.date(2013, 1, 1)", "date", dt.date(2013, 1, 1), True),
    "date by alias": ("import datetime as d\nx: d.date = d.date(2013, 1, 1)", "date", dt.date(2013, 1, 1), False),
    "datetime": (
        "x = datetime(2013, 1, 1)",
        "datetime",
        dt.datetime(2013, 1, 1),  # noqa: DTZ001
        True,
    ),
    "aware": (
        "from datetime import datetime, timezone\nx = datetime(2013, 1, 1, tzinfo=timezone.utc)",
        "datetime",
        dt.datetime(2013, 1, 1, tzinfo=dt.UTC),
        True,
    ),
    "timedelta": ("x = timedelta(days=1)", "timedelta", dt.timedelta(1), True),
    "path": ("x = Path('a') / 'b'", "Path", Path("a/b"), True),
    "another module's Path": ("from zipfile import Path\nx = Path('a')", "Any", Unevaluated("Path('a')"), False),
    "now is not run": ("x = datetime.now()", "Any", Unevaluated("datetime.now()"), False),
    "decimal": ("x = Decimal('1.50')", "Decimal", Decimal("1.50"), True),
    "uuid": (f"x = UUID('{UUID(int=1)}')", "UUID", UUID(int=1), True),
    "bad constructor": ("x = Decimal('abc')", "Any", Unevaluated("Decimal('abc')"), False),
    "nan": ("x = float('nan')", "float", math.nan, True),
    "big integer": (f"x = {10**40}", "int", 10**40, True),
    "unicode name": ("é = 1\nx = 2", "int", 2, True),
    "string annotation": ("x: 'int | None' = None", "int | None", None, False),
    "unknown annotation": ("x: pd.DataFrame = None", "pd.DataFrame", None, False),
    "final": ("x: Final = 3", "int", 3, True),
    "literal type": ("x: Literal['a', 'b'] = 'a'", "Literal['a', 'b']", "a", False),
    "sloppy None": ("x: int = None", "int | None", None, False),
    "line magic": ("%matplotlib inline\nx = 1", "int", 1, True),
    "shell": ("!ls 'it''s\nx = 1", "int", 1, True),
    "shell over two lines": ("!ls \\\n  -l\nx = 1", "int", 1, True),
    "question": ("print?\nx = 1", "int", 1, True),
    "magic in a block": ("if a:\n    %cd x\nx = 1", "int", 1, True),
    "magic beside a string": ('%pylab\nx = """\n%not magic\n"""', "str", "\n%not magic\n", True),
    "magic beside brackets": ("%pylab\nx = (7\n% 4)", "Any", Unevaluated("7 % 4"), False),
    "python cell magic": ("%%time\nx = 1", "int", 1, True),
    "assigned shell": ("x = !ls", "Any", Unevaluated("!ls"), False),
    "assigned magic": ("x = %env HOME", "Any", Unevaluated("%env HOME"), False),
    "indented cell": ("  x = 1\n  y = 2", "int", 1, True),
    "windows lines": ("x = 1\r\ny = 2\r\n", "int", 1, True),
    "odd escape": (r"x = '\d'", "str", r"\d", True),
    "await": ("y = await f()\nx = 1", "int", 1, True),
}


@pytest.mark.parametrize(("source", "kind", "default", "inferred"), CASES.values(), ids=CASES)
def test_declaration(source, kind, default, inferred):
    parameter = Schema.from_source(source).get("x")
    assert parameter is not None
    assert parameter.describe_type() == kind
    if default is ...:
        assert isinstance(parameter.default, Unevaluated)
    else:
        assert same(parameter.default, default)
    assert parameter.inferred is inferred


HELP = {
    "beside": ("x = 1  # the rate", "the rate"),
    "above": ("# the rate,\n# per day\nx = 1", "the rate, per day"),
    "beside wins": ("# above\nx = 1  # beside", "beside"),
    "not across a blank line": ("# Section\n\nx = 1", ""),
    "after type": ("x = 1  # type: int  the rate", "the rate"),
    "not in a string": ("x = 'a # no'", ""),
    "last line of many": ("x = [  # first\n 1,\n]  # last", "last"),
    "first line of many": ("x = [  # first\n 1,\n]", "first"),
    "not a pragma": ("x = 1  # noqa: E501", ""),
    "not the neighbour's": ("y = 1  # other\nx = 1", ""),
    "below a magic": ("%pylab\nx = 1  # the rate", "the rate"),
}


@pytest.mark.parametrize(("source", "text"), HELP.values(), ids=HELP)
def test_help(source, text):
    parameter = Schema.from_source(source).get("x")
    assert parameter is not None
    assert parameter.help == text


@pytest.mark.parametrize(
    "source", ["", "# nothing", "import os", "%%bash\nx=1", "x.y = 1", "x[0] = 1", "def x(): pass", "x = 1\ndel x"]
)
def test_no_parameters(source):
    assert Schema.from_source(source) == Schema(())
    assert Schema(()).declared


def test_order_is_the_cells():
    assert Schema.from_source("b = 1\na = 2\nc: int\nb = 3").names == ("b", "a", "c")


def test_a_cell_that_is_no_python_is_refused_with_its_line():
    with pytest.raises(NotebookInvalid, match="line 2"):
        Schema.from_source("x = 1\ny = = 2\n")
    with pytest.raises(NotebookInvalid, match="line 3"):
        Schema.from_source("%pylab\nx = 1\ny = = 2\n")
    with pytest.raises(NotebookInvalid):
        Schema.from_source("x = '\0'")
    assert Schema.from_source("x = 1\ny = 2\n").names == ("x", "y")


def test_nothing_is_run(tmp_path):
    mark = tmp_path / "mark"
    Schema.from_source(f"x = open({str(mark)!r}, 'w')\ny = __import__('os').system('touch {mark}')\n!touch {mark}")
    assert not mark.exists()


def test_a_schema_pickles():
    schema = Schema.from_source("x: dict[str, list[int]] = {}\ny: Literal['a'] | None = None\nz: int\nq = f()")
    assert pickle.loads(pickle.dumps(schema)) == schema


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(source):
    with contextlib.suppress(NotebookInvalid):
        Schema.from_source(source)


CHUNKS = [
    "%m",
    "%m \\\n  x",
    "!s 'x",
    "x = 1",
    "y = '''\n%m\n!s\n'''",
    "z = [\n1,\n2]",
    "f?",
    "%f??",
    "f.g*?",
    "?f",
    "if x:\n  %m",
    "# c [",
    "v = !s",
    "v = %m",
    "w = \\\n  2",
    "",
    "u = 'it\\'s'",
    't = "#"',
    "s = (1\n% 2)",
    "r = r'\\'\"x\"",
]


@given(st.lists(st.sampled_from(CHUNKS), max_size=6))
def test_any_mixture_of_lines_declares_what_ipython_would_assign(lines):
    source = "\n".join(lines)
    try:
        theirs = ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return
    names = [s.targets[0].id for s in theirs.body if isinstance(s, ast.Assign)]
    assert Schema.from_source(source).names == tuple(dict.fromkeys(names))
