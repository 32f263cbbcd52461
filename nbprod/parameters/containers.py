"""Declared types made of others: lists, tuples, sets, dicts, unions and literals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Union

from nbprod.digest import Json
from nbprod.parameters.codec import is_text
from nbprod.parameters.plain import identical, show
from nbprod.parameters.types import ANY, FLOAT, INT, NONE, TypeSpec

__all__ = ["DictOf", "ListOf", "OneOf", "SetOf", "TupleOf", "UnionOf", "union"]


def _problem(value: object, where: str) -> str:
    return show(value) + (f" at {where}" if where else "")


@dataclass(frozen=True, slots=True)
class ListOf(TypeSpec):
    """`list[item]`."""

    item: TypeSpec = ANY

    def describe(self) -> str:
        """Return `list[item]`."""
        return "list" if self.item == ANY else f"list[{self.item.describe()}]"

    def check(self, value: object, where: str = "") -> str | None:
        """Check the list and its first ill-typed item."""
        if not isinstance(value, list):
            return _problem(value, where)
        problems = (self.item.check(item, f"{where}[{i}]") for i, item in enumerate(value))
        return next(filter(None, problems), None)

    def convert(self, value: object) -> object:
        """Take tuples for lists, and convert the items."""
        return [self.item.convert(item) for item in value] if isinstance(value, list | tuple) else value

    def json_schema(self) -> dict[str, Json]:
        """Return an array's schema."""
        return {"type": "array", "items": self.item.json_schema()}

    def annotation(self) -> Any:
        """Return `list[…]`."""
        return list[self.item.annotation()]  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class SetOf(TypeSpec):
    """`set[item]` or `frozenset[item]`."""

    item: TypeSpec = ANY
    frozen: bool = False

    @property
    def _kind(self) -> type[set[Any] | frozenset[Any]]:
        return frozenset if self.frozen else set

    def describe(self) -> str:
        """Return `set[item]`."""
        name = self._kind.__name__
        return name if self.item == ANY else f"{name}[{self.item.describe()}]"

    def check(self, value: object, where: str = "") -> str | None:
        """Check the set and its items."""
        if not isinstance(value, self._kind):
            return _problem(value, where)
        return next(filter(None, (self.item.check(item, where) for item in value)), None)

    def convert(self, value: object) -> object:
        """Take lists, tuples and the other kind of set, where the items can stand in a set."""
        if not isinstance(value, list | tuple | set | frozenset):
            return value
        try:
            return self._kind(self.item.convert(item) for item in value)
        except TypeError:
            return value

    def json_schema(self) -> dict[str, Json]:
        """Return an array's schema, without repetitions."""
        return {"type": "array", "items": self.item.json_schema(), "uniqueItems": True}

    def annotation(self) -> Any:
        """Return `set[…]`."""
        item: Any = self.item.annotation()
        return frozenset[item] if self.frozen else set[item]


@dataclass(frozen=True, slots=True)
class TupleOf(TypeSpec):
    """`tuple[a, b]`, or `tuple[item, ...]` where `variadic` (then `items` holds one spec)."""

    items: tuple[TypeSpec, ...] = (ANY,)
    variadic: bool = True

    def _specs(self, length: int) -> tuple[TypeSpec, ...]:
        return self.items * length if self.variadic else self.items

    def describe(self) -> str:
        """Return `tuple[a, b]`."""
        if self == TupleOf():
            return "tuple"
        inner = ", ".join(item.describe() for item in self.items) or "()"
        return f"tuple[{inner}{', ...' if self.variadic else ''}]"

    def check(self, value: object, where: str = "") -> str | None:
        """Check the length and each item."""
        if not isinstance(value, tuple):
            return _problem(value, where)
        specs = self._specs(len(value))
        if len(specs) != len(value):
            return f"a length of {len(value)}: {_problem(value, where)}"
        problems = (spec.check(item, f"{where}[{i}]") for i, (spec, item) in enumerate(zip(specs, value, strict=True)))
        return next(filter(None, problems), None)

    def convert(self, value: object) -> object:
        """Take lists for tuples, and convert the items."""
        if not isinstance(value, list | tuple):
            return value
        if len(specs := self._specs(len(value))) != len(value):
            return tuple(value)
        return tuple(spec.convert(item) for spec, item in zip(specs, value, strict=True))

    def json_schema(self) -> dict[str, Json]:
        """Return an array's schema, of fixed length where the tuple has one."""
        if self.variadic:
            return {"type": "array", "items": self.items[0].json_schema()}
        fixed: dict[str, Json] = {"type": "array", "minItems": len(self.items), "maxItems": len(self.items)}
        return {**fixed, "prefixItems": [item.json_schema() for item in self.items]} if self.items else fixed

    def annotation(self) -> Any:
        """Return `tuple[…]`."""
        inner = tuple(item.annotation() for item in self.items)
        return tuple[(*inner, ...)] if self.variadic else tuple[inner]  # type: ignore[valid-type]


@dataclass(frozen=True, slots=True)
class DictOf(TypeSpec):
    """`dict[key, item]`."""

    key: TypeSpec = ANY
    item: TypeSpec = ANY

    def describe(self) -> str:
        """Return `dict[key, item]`."""
        return "dict" if self == DictOf() else f"dict[{self.key.describe()}, {self.item.describe()}]"

    def check(self, value: object, where: str = "") -> str | None:
        """Check keys and items."""
        if not isinstance(value, dict):
            return _problem(value, where)
        for key, item in value.items():
            if (problem := self.key.check(key)) is not None:
                return f"key {problem}" + (f" at {where}" if where else "")
            if (problem := self.item.check(item, f"{where}[{key!r}]")) is not None:
                return problem
        return None

    def convert(self, value: object) -> object:
        """Convert keys and items; JSON's keys are texts, so `"1"` stands for the key 1 of a `dict[int, …]`."""
        if not isinstance(value, dict):
            return value
        try:
            converted = {self._key(key): self.item.convert(item) for key, item in value.items()}
        except TypeError:
            return value
        return converted if len(converted) == len(value) else value

    def _key(self, key: object) -> object:
        if isinstance(key, str) and self.key in {INT, FLOAT}:
            try:
                number = int(key) if self.key == INT else float(key)
            except ValueError:
                return key
            return number if isinstance(number, float) or str(number) == key else key
        return self.key.convert(key)

    def json_schema(self) -> dict[str, Json]:
        """Return an object's schema; JSON's keys are texts whatever the declared key."""
        return {"type": "object", "additionalProperties": self.item.json_schema()}

    def annotation(self) -> Any:
        """Return `dict[…]`."""
        return dict[self.key.annotation(), self.item.annotation()]  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class OneOf(TypeSpec):
    """`Literal[…]`: one of the members, of the member's own type."""

    members: tuple[bool | int | str | bytes | None, ...]

    def describe(self) -> str:
        """Return `Literal[…]`."""
        return f"Literal[{', '.join(map(repr, self.members))}]"

    def check(self, value: object, where: str = "") -> str | None:
        """Refuse what is not a member; True is no 1."""
        return None if any(identical(value, member) for member in self.members) else _problem(value, where)

    def json_schema(self) -> dict[str, Json]:
        """Return the members that JSON has."""
        return {
            "enum": [m for m in self.members if not isinstance(m, bytes) and (not isinstance(m, str) or is_text(m))]
        }

    def annotation(self) -> Any:
        """Return `Literal[…]`."""
        return Literal[self.members]


@dataclass(frozen=True, slots=True)
class UnionOf(TypeSpec):
    """`a | b`: fits where a member fits."""

    members: tuple[TypeSpec, ...]

    def describe(self) -> str:
        """Return `a | b`."""
        return " | ".join(member.describe() for member in self.members)

    def check(self, value: object, where: str = "") -> str | None:
        """Refuse what no member takes; where one member alone is of the value's kind, say what it misses."""
        problems = [member.check(value, where) for member in self.members]
        if None in problems:
            return None
        whole = _problem(value, where)
        inner = [problem for problem in problems if problem != whole]
        return inner[0] if len(inner) == 1 else whole

    def convert(self, value: object) -> object:
        """Convert by the member that takes the value as it is, else by the first that takes it converted."""
        candidates = [(member, member.convert(value)) for member in self.members]
        fitting = [converted for member, converted in candidates if member.check(converted) is None]
        if any(identical(converted, value) for converted in fitting):
            return value
        return fitting[0] if fitting else value

    def json_schema(self) -> dict[str, Json]:
        """Return the members' schemas."""
        return {"anyOf": [member.json_schema() for member in self.members]}

    def annotation(self) -> Any:
        """Return the union."""
        return Union[tuple(member.annotation() for member in self.members)]  # noqa: UP007 - made at run time


def union(members: tuple[TypeSpec, ...]) -> TypeSpec:
    """Return the union of the members: flat, each once, None last; a single member stands for itself."""
    flat: list[TypeSpec] = []
    for member in members:
        flat += [m for m in (member.members if isinstance(member, UnionOf) else (member,)) if m not in flat]
    flat.sort(key=lambda member: member == NONE)
    return flat[0] if len(flat) == 1 else UnionOf(tuple(flat))
