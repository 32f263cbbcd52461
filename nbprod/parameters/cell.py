"""The parameters cell, read by `ast`: which names it assigns, with which types, defaults and comments."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import replace

from nbprod.errors import NotebookInvalid
from nbprod.parameters.annotation import inferred_type, parse_annotation, parse_type_comment
from nbprod.parameters.comments import Comments
from nbprod.parameters.constants import NotConstant, constant
from nbprod.parameters.magics import Cleaned, without_magics
from nbprod.parameters.names import Names
from nbprod.parameters.parameter import REQUIRED, Parameter, Required, Unevaluated
from nbprod.parameters.types import TypeSpec

__all__ = ["read_parameters"]

_FILE = "<parameters cell>"
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def read_parameters(source: str) -> tuple[Parameter, ...]:
    """Return the parameters that a cell declares, in its order; of several assignments of a name the last one wins.

    Raises:
        NotebookInvalid: the cell is not Python.
    """
    module, cleaned = _parse(source)
    reader = _Reader(module, cleaned)
    for statement in module.body:
        reader.read(statement)
    return tuple(reader.found.values())


def _parse(source: str) -> tuple[ast.Module, Cleaned]:
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    first = next((line for line in text.split("\n") if line.strip()), "")
    if indent := first[: len(first) - len(first.lstrip())]:  # IPython runs an indented cell, too
        text = "\n".join(line.removeprefix(indent) for line in text.split("\n"))
    try:
        return _ast(text), Cleaned(text, {})
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        cleaned = without_magics(text)
    try:
        return _ast(cleaned.text), cleaned
    except SyntaxError as error:
        line = error.lineno or 1
        raise NotebookInvalid(
            f"the parameters cell cannot be read: line {line}: {error.msg}",
            expected="Python",
            found=repr((text.split("\n")[line - 1 : line] or [""])[0].strip()),
            hint="Run the cell in Jupyter, and correct it there",
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotebookInvalid("the parameters cell cannot be read", expected="Python", found=str(error)) from error


def _ast(text: str) -> ast.Module:
    """Parse; a warning about an escape in the notebook's own text must not refuse it where warnings are errors."""
    try:
        return ast.parse(text, _FILE)
    except SyntaxError as error:
        if "escape sequence" not in error.msg:
            raise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, _FILE)


class _Reader:
    """Goes through the cell's statements from top to bottom."""

    def __init__(self, module: ast.Module, cleaned: Cleaned) -> None:
        self.found: dict[str, Parameter] = {}
        self.names = Names.of(module)
        self.comments = Comments.of(cleaned.text)
        self.cleaned = cleaned

    def read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                self._declare(statement, name, annotation, value)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(statement, target, value)
            case ast.Delete(targets=targets):
                for target in targets:
                    self.found.pop(target.id if isinstance(target, ast.Name) else "", None)
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass  # these name things, but no parameters
            case _:
                self._changed(statement)

    def _declare(self, statement: ast.stmt, name: str, annotation: ast.expr, value: ast.expr | None) -> None:
        spec: TypeSpec | None = parse_annotation(annotation, self.names)
        if self.names.resolve(annotation) in {"typing.Final", "typing.ClassVar"}:
            spec = None
        default = self._default(statement, value) if value is not None else None
        if value is None:  # `x: int` leaves an earlier value of x as it is
            earlier = self.found.get(name)
            default = earlier.default if earlier is not None else REQUIRED
        self._keep(statement, name, spec, default)

    def _assign(self, statement: ast.stmt, target: ast.expr, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                self._keep(statement, name, None, self._default(statement, value))
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
                starred = any(isinstance(part, ast.Starred) for part in (*targets, *values))
                pairs = zip(targets, values, strict=True) if len(targets) == len(values) and not starred else None
                for part, item in pairs or ((part, None) for part in targets):
                    self._assign_part(statement, part, item)
            case ast.Attribute() | ast.Subscript():
                self._changed(statement)

    def _assign_part(self, statement: ast.stmt, target: ast.expr, value: ast.expr | None) -> None:
        if value is not None:
            self._assign(statement, target, value)
            return
        source = Unevaluated(_text(statement))
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._keep(statement, node.id, None, source)

    def _default(self, statement: ast.stmt, value: ast.expr) -> object:
        if statement.lineno in self.cleaned.assigned:
            return Unevaluated(self.cleaned.assigned[statement.lineno])
        try:
            return constant(value, self.names)
        except NotConstant:
            if isinstance(value, ast.Name) and (same := self.found.get(value.id)) and not same.required:
                return same.default  # `b = a` names a parameter of this cell
            return Unevaluated(_text(value))

    def _keep(self, statement: ast.stmt, name: str, spec: TypeSpec | None, default: object) -> None:
        """Store a parameter; what a later assignment does not say again (declared type, help) stays."""
        comment, text = self.comments.of_statement(statement)
        if spec is None and comment is not None:
            spec = parse_type_comment(comment, self.names)
        earlier = self.found.get(name)
        if spec is None and earlier is not None and not earlier.inferred:
            spec = earlier.type
        inferred = spec is None and not isinstance(default, Unevaluated | Required)
        kind = inferred_type(default) if inferred else spec
        text = text or (earlier.help if earlier is not None else "")
        self.found[name] = Parameter(name, kind, default, text, inferred and kind is not None)

    def _changed(self, statement: ast.stmt) -> None:
        """Mark defaults that a statement may change after their assignment: only running it would tell."""
        for name in _touched(statement):
            if (parameter := self.found.get(name)) is not None:
                self.found[name] = replace(parameter, default=Unevaluated(_text(statement)))


def _touched(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement stores to, changes in place, or calls a method of."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, _SCOPES):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        changed = isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
        if changed or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            yield from _root(node)
        todo += ast.iter_child_nodes(node)


def _root(node: ast.AST) -> Iterator[str]:
    """Yield the variable at the root of `cfg["a"].b` or `cfg.update`."""
    if isinstance(node, ast.Call):
        node = node.func
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _text(node: ast.AST) -> str:
    return ast.unparse(node)
