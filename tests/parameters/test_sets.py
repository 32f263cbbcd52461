"""Sets of parameters by the thousand, made to break out: none becomes code, and each arrives as it was given."""

from __future__ import annotations

import ast
import builtins
import math
import os
import random
import subprocess
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from nbprod.errors import NbprodError
from nbprod.parameters.inject import injected_source
from nbprod.parameters.text import papermill_inference
from tests.parameters.strategies import same
from tests.parameters.test_inject import assert_only_assignments, run
from tests.tally import Count, counting

PIECES = (
    "'", '"', "'''", '"""', "\\", "\\'", "\n", "\r", "\x0b", "\x0c", "\x1c", "\u2028", "\u2029", "\x85", "\0", "#", ";",
    "%", "!", "?", "%%bash\n", "!touch escaped", "{", "}", "{{", "}}", "$(", "`", "import os", "os.system('id')", "=",
    "__import__('builtins').escaped()", ")", "(", "]", ",", "x", "\ud800", "\u202e", "\t", " ", "lambda:", "\\N{",
    "\\x",
    "get_ipython()", "f'{escaped()}'", "*", "**", ":=", "@", "\ufeff", "# %%", "class", "None", "\\u000a",
)  # fmt: skip
NAMES = (
    "float",
    "set",
    "builtins",
    "_nbprod_builtins",
    "class",
    "__builtins__",
    "a",
    "b",
    "é",
    "x1",
    "_nbprod_datetime",
)
PLAIN = (
    None, True, 0, -1, 2**53, 10**400, 0.5, -0.0, 1e308, math.nan, -math.inf, 1j, b"\0'", date(2013, 1, 1), Path("a'b"),
    datetime(2013, 1, 1, tzinfo=UTC), timedelta(-1), timedelta(microseconds=1), Decimal("1.50"), Decimal("NaN"),
    UUID(int=1),
    (), [], {}, set(), frozenset({1}), time(1, 2, tzinfo=timezone(timedelta(hours=1), "'")), {"$nbprod": 1},
)  # fmt: skip


def hostile(dice: random.Random) -> str:
    return "".join(dice.choices(PIECES, k=dice.randrange(7)))


def value(dice: random.Random, depth: int = 3) -> Any:
    kind = dice.randrange(8 if depth else 4)
    if kind < 2:
        return hostile(dice)
    if kind < 4:
        return dice.choice((*PLAIN, dice.randrange(-(10**30), 10**30), dice.uniform(-1e9, 1e9), dice.randbytes(5)))
    inner = [value(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == 4:
        return tuple(inner)
    return inner if kind < 7 else {hostile(dice): each for each in inner}


def parameters_of(dice: random.Random) -> dict[str, Any]:
    many = range(dice.randrange(1, 5))
    return {dice.choice(NAMES) if dice.random() < 0.8 else hostile(dice): value(dice) for _ in many}


def hold(parameters: dict[str, Any], count: Count, manager: TransformerManager) -> None:
    try:
        source = injected_source(parameters)
    except NbprodError:
        count.add("refused")
        return
    assert_only_assignments(source, list(parameters))
    assert manager.transform_cell(source) == source
    found = run(source)
    assert all(same(found[name], value) for name, value in parameters.items())
    count.add("arrived as they were given")


@pytest.mark.parametrize("count", [300, pytest.param(100_000, marks=[pytest.mark.torture, pytest.mark.timeout(3500)])])
def test_no_set_of_parameters_escapes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    escaped: list[object] = []
    for module, name in ((os, "system"), (subprocess, "Popen")):
        monkeypatch.setattr(module, name, lambda *a, **_: escaped.append(a))
    monkeypatch.setattr(builtins, "escaped", lambda: escaped.append("called"), raising=False)
    naive = ast.unparse(ast.parse("x = '''" + "''' + str(escaped()) + '''" + "'''"))
    run(naive)
    assert escaped == ["called"], "the control: what is put between quotes as it is does escape"
    escaped.clear()
    with counting("generated sets of parameters", count, seed=count) as told:
        dice, manager = random.Random(count), TransformerManager()
        for _ in range(count):
            hold(parameters_of(dice), told, manager)
            papermill_inference(hostile(dice))
    assert told.came["arrived as they were given"] > count / 10
    assert escaped == []
