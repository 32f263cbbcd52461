"""Annotations as type specs, read from `ast` expressions, never evaluated."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from nbprod.parameters import types
from nbprod.parameters.containers import DictOf, ListOf, OneOf, SetOf, TupleOf, union
from nbprod.parameters.names import Names
from nbprod.parameters.types import ANY, Anything, TypeSpec

__all__ = ["inferred_type", "parse_annotation", "parse_type_comment"]

_SCALARS = {
    "int": types.INT,
    "float": types.FLOAT,
    "str": types.STR,
    "bool": types.BOOL,
    "datetime.datetime": types.DATETIME,
    "datetime.date": types.DATE,
    "datetime.time": types.TIME,
    "datetime.timedelta": types.TIMEDELTA,
    "decimal.Decimal": types.DECIMAL,
    "uuid.UUID": types.UUID_,
    "typing.LiteralString": types.STR,
    **dict.fromkeys(("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "pathlib.PurePosixPath"), types.PATH),
    "os.PathLike": types.PATH,
    **dict.fromkeys(("typing.Any", "object"), ANY),
}
_LISTS = {"list", *(f"typing.{n}" for n in ("List", "Sequence", "Iterable", "Collection", "MutableSequence"))}
_DICTS = {"dict", *(f"typing.{n}" for n in ("Dict", "Mapping", "MutableMapping"))}
_SETS = {"set": False, "frozenset": True, "typing.Set": False, "typing.AbstractSet": False, "typing.FrozenSet": True}
_TUPLES = {"tuple", "typing.Tuple"}
_WRAPPERS = {"typing.Annotated", "typing.Final", "typing.ClassVar"}
_PAIR = 2


def parse_annotation(node: ast.expr, names: Names | None = None) -> TypeSpec:
    """Return the spec of an annotation; a type that nbprod does not know becomes `Anything(its text)`."""
    names = names or Names()
    spec = _parse(node, names)
    return Anything(ast.unparse(node)) if spec is None else spec


def parse_type_comment(text: str, names: Names | None = None) -> TypeSpec | None:
    """Return the spec of the text after `# type:`, or None where it is no expression."""
    try:
        return parse_annotation(ast.parse(text.strip(), mode="eval").body, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def inferred_type(value: object) -> TypeSpec | None:
    """Return the spec of a default's own type, or None where it says nothing (None, bytes, complex)."""
    specs: Sequence[TypeSpec] = (
        types.BOOL, types.INT, types.FLOAT, types.STR, ListOf(), DictOf(), TupleOf(), SetOf(), SetOf(frozen=True),
        types.DATETIME, types.DATE, types.TIME, types.TIMEDELTA, types.PATH, types.DECIMAL, types.UUID_,
    )  # fmt: skip
    return next((spec for spec in specs if spec.check(value) is None), None)


def _parse(node: ast.expr, names: Names) -> TypeSpec | None:
    match node:
        case ast.Constant(value=None):
            return types.NONE
        case ast.Constant(value=str() as text):
            return parse_type_comment(text, names)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return union((parse_annotation(left, names), parse_annotation(right, names)))
        case ast.Subscript(value=head, slice=inner):
            arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _generic(names.resolve(head) or "", arguments, names)
    name = names.resolve(node) or ""
    return _bare(name)


def _bare(name: str) -> TypeSpec | None:
    if name in _LISTS:
        return ListOf()
    if name in _DICTS:
        return DictOf()
    if name in _TUPLES:
        return TupleOf()
    if name in _SETS:
        return SetOf(frozen=_SETS[name])
    return _SCALARS.get(name)


def _generic(name: str, arguments: list[ast.expr], names: Names) -> TypeSpec | None:
    if name == "typing.Literal":
        return _literal(arguments, names)
    if name in _WRAPPERS and arguments:
        return parse_annotation(arguments[0], names)
    if name in _TUPLES:
        return _tuple(arguments, names)
    inner = tuple(parse_annotation(argument, names) for argument in arguments)
    if name == "typing.Union":
        return union(inner) if inner else None
    if name in _DICTS and len(inner) == _PAIR:
        return DictOf(*inner)
    return _generic_of_one(name, inner[0]) if len(inner) == 1 else None


def _generic_of_one(name: str, inner: TypeSpec) -> TypeSpec | None:
    if name == "typing.Optional":
        return union((inner, types.NONE))
    if name in _LISTS:
        return ListOf(inner)
    if name in _SETS:
        return SetOf(inner, frozen=_SETS[name])
    return types.PATH if name == "os.PathLike" else None


def _tuple(arguments: list[ast.expr], names: Names) -> TypeSpec:
    match arguments:
        case [item, ast.Constant(value=dots)] if dots is ...:
            return TupleOf((parse_annotation(item, names),))
        case [ast.Tuple(elts=[])]:
            return TupleOf((), variadic=False)
    return TupleOf(tuple(parse_annotation(argument, names) for argument in arguments), variadic=False)


def _literal(arguments: list[ast.expr], names: Names) -> TypeSpec | None:
    """Read the members; a nested `Literal` is flattened as PEP 586 says, an enum's member is not known here."""
    members: list[bool | int | str | bytes | None] = []
    for argument in arguments:
        nested = _parse(argument, names) if isinstance(argument, ast.Subscript) else None
        try:
            found = list(nested.members) if isinstance(nested, OneOf) else [ast.literal_eval(argument)]
        except ValueError:
            return None
        if not all(member is None or isinstance(member, bool | int | str | bytes) for member in found):
            return None
        members += found
    return OneOf(tuple(members)) if members else None
