"""Values of default expressions: literals and known constructors of literals, read from `ast`, never run."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from nbprod.errors import CallerError
from nbprod.parameters.names import Names
from nbprod.parameters.plain import plain

__all__ = ["NotConstant", "constant"]

# These have no effect outside themselves and cost no more than their arguments are long.
_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "int": int,
    "float": float,
    "complex": complex,
    "str": str,
    "bool": bool,
    "datetime.datetime": datetime,
    "datetime.date": date,
    "datetime.time": time,
    "datetime.timedelta": timedelta,
    "datetime.timezone": timezone,
    "datetime.datetime.fromisoformat": datetime.fromisoformat,
    "datetime.fromisoformat": datetime.fromisoformat,
    "datetime.date.fromisoformat": date.fromisoformat,
    "datetime.time.fromisoformat": time.fromisoformat,
    "pathlib.Path": Path,
    "decimal.Decimal": Decimal,
    "uuid.UUID": UUID,
    "zoneinfo.ZoneInfo": ZoneInfo,
}
_VALUES: dict[str, Any] = {
    "datetime.timezone.utc": UTC,
    "datetime.UTC": UTC,
    "math.nan": math.nan,
    "math.inf": math.inf,
    "math.pi": math.pi,
    "math.e": math.e,
    "math.tau": math.tau,
}


class NotConstant(ValueError):
    """The expression is neither a literal nor a known constructor of literals."""


def constant(node: ast.expr, names: Names) -> Any:
    """Return the plain value of an expression.

    Raises:
        NotConstant: it would have to be run.
    """
    try:
        return plain(_value(node, names))
    except (ValueError, TypeError, ArithmeticError, LookupError, OSError, RecursionError, CallerError) as error:
        # A constructor that refuses its arguments does so in the kernel too: that is the notebook's affair.
        raise NotConstant(ast.dump(node)[:80]) from error


def _value(node: ast.expr, names: Names) -> Any:  # noqa: PLR0911 - a table of forms
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.List(elts=elts):
            return [_value(item, names) for item in elts]
        case ast.Tuple(elts=elts):
            return tuple(_value(item, names) for item in elts)
        case ast.Set(elts=elts):
            return {_value(item, names) for item in elts}
        case ast.Dict(keys=keys, values=values):
            return _dict(keys, values, names)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
            return _signed(op, _value(operand, names))
        case ast.BinOp():
            return _binary(node, names)
        case ast.Call(func=func, args=args, keywords=keywords):
            return _call(names.resolve(func), args, keywords, names)
    name = names.resolve(node)
    if name in _VALUES:
        return _VALUES[name]
    raise NotConstant


def _dict(keys: list[ast.expr | None], values: list[ast.expr], names: Names) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, item in zip(keys, values, strict=True):
        if key is None:
            result.update(_value(item, names))
        else:
            result[_value(key, names)] = _value(item, names)
    return result


def _signed(op: ast.unaryop, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | complex | timedelta):
        raise NotConstant
    return -value if isinstance(op, ast.USub) else value


def _binary(node: ast.BinOp, names: Names) -> Any:
    """Read `1 + 2j`, as `ast.literal_eval` does, and `Path("a") / "b"`; other arithmetic is shown, not done."""
    left, right = _value(node.left, names), _value(node.right, names)
    if isinstance(node.op, ast.Div) and isinstance(left, Path) and isinstance(right, str | Path):
        return left / right
    if isinstance(right, complex) and isinstance(left, int | float) and not isinstance(left, bool):
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
    raise NotConstant


def _call(name: str | None, args: list[ast.expr], keywords: list[ast.keyword], names: Names) -> Any:
    make = _CONSTRUCTORS.get(name or "")
    if make is None:
        raise NotConstant
    positional = [_value(arg, names) for arg in args]
    named = {keyword.arg: _value(keyword.value, names) for keyword in keywords if keyword.arg is not None}
    if len(named) != len(keywords):
        raise NotConstant
    return make(*positional, **named)
