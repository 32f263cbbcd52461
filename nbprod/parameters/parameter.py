"""One declared parameter: name, type, default and help."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.parameters.containers import union
from nbprod.parameters.types import ANY, FLOAT, INT, NONE, TypeSpec

__all__ = ["REQUIRED", "Parameter", "Required", "Unevaluated"]


@dataclass(frozen=True, slots=True)
class Required:
    """Stands where a parameter has no default: a value must be given."""


REQUIRED = Required()


@dataclass(frozen=True, slots=True)
class Unevaluated:
    """A default that only running the notebook would tell.

    Args:
        source: the expression's text, for showing.
    """

    source: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter.

    Args:
        name: a Python identifier, in NFKC as Python reads it.
        type: the declared or inferred type; None where neither says anything.
        default: a plain value, `Required()` or `Unevaluated(source)`.
        help: the comment's text, or "".
        inferred: the type is the default's own, not a declared one.
    """

    name: str
    type: TypeSpec | None
    default: object
    help: str = ""
    inferred: bool = False

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return isinstance(self.default, Required)

    @property
    def known_default(self) -> bool:
        """Whether `default` is a value."""
        return not isinstance(self.default, Required | Unevaluated)

    @property
    def accepts(self) -> TypeSpec:
        """What a given value is checked against: an inferred int takes a float, and a default of None takes None."""
        if self.type is None:
            return ANY
        if self.inferred and self.type == INT:
            return union((INT, FLOAT))
        return union((self.type, NONE)) if self.default is None and self.type.check(None) else self.type

    def describe_type(self) -> str:
        """Return the type as shown to a person."""
        return "Any" if self.type is None else self.accepts.describe() if not self.inferred else self.type.describe()
