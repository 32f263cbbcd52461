"""What the names in a parameters cell mean: `dt.date`, `Path`, `typing.Optional` as one canonical dotted name."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Names"]

# Conventional names of modules that an earlier cell may have imported, out of this cell's sight.
_MODULES = {
    "typing": "typing",
    "t": "typing",
    "datetime": "datetime",
    "dt": "datetime",
    "pathlib": "pathlib",
    "decimal": "decimal",
    "uuid": "uuid",
    "zoneinfo": "zoneinfo",
    "math": "math",
    "os": "os",
    "builtins": "builtins",
    "collections": "collections",
    "typing_extensions": "typing",
}
_BARE = {
    **dict.fromkeys(("datetime", "date", "time", "timedelta", "timezone", "UTC"), "datetime"),
    **dict.fromkeys(("Path", "PurePath", "PosixPath", "PurePosixPath"), "pathlib"),
    **dict.fromkeys(
        ("Optional", "Union", "Literal", "Any", "Annotated", "Final", "ClassVar", "LiteralString"), "typing"
    ),
    **dict.fromkeys(("List", "Dict", "Tuple", "Set", "FrozenSet", "AbstractSet", "MutableSequence"), "typing"),
    **dict.fromkeys(("Sequence", "Iterable", "Collection", "Mapping", "MutableMapping"), "typing"),
    "Decimal": "decimal",
    "UUID": "uuid",
    "ZoneInfo": "zoneinfo",
    "PathLike": "os",
}


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a cell imports, beside the conventional ones."""

    imports: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, module: ast.Module) -> Names:
        """Collect the imports at the top of a parsed cell."""
        found: dict[str, str] = {}
        for node in module.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
        return cls(found)

    def resolve(self, node: ast.expr) -> str | None:
        """Return the canonical dotted name (`datetime.date`, `typing.Optional`, `int`), or None where it is no name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return _canonical(".".join([self._head(node.id, alone=not parts), *parts]))

    def _head(self, name: str, *, alone: bool) -> str:
        if name in self.imports:
            return self.imports[name]
        if name in _MODULES and not (alone and name in _BARE):
            return _MODULES[name]
        return f"{_BARE[name]}.{name}" if name in _BARE else name


def _canonical(dotted: str) -> str:
    if dotted == "datetime":  # the module is no type: whoever writes `x: datetime` means the class
        return "datetime.datetime"
    for old, new in (("typing_extensions.", "typing."), ("collections.abc.", "typing."), ("builtins.", "")):
        if dotted.startswith(old):
            return new + dotted.removeprefix(old)
    return dotted
