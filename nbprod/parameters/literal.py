"""Plain values as Python expressions: literals and known constructors that evaluate back to the value."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from nbprod.parameters.codec import int_text
from nbprod.parameters.plain import plain

__all__ = ["Code", "literal"]


@dataclass(frozen=True, slots=True)
class Code:
    """A Python expression and the modules it needs.

    Args:
        expression: one line of Python.
        imports: module names, each to be imported as `import <module> as <prefix><module>`.
    """

    expression: str
    imports: frozenset[str]


def literal(value: object, *, prefix: str = "", taken: Collection[str] = frozenset()) -> Code:
    """Return an expression that evaluates to an equal value of equal types.

    Args:
        value: a value that `plain.plain` takes.
        prefix: what stands before module names in the expression, so that imports need not shadow the notebook's names.
        taken: names that the notebook uses itself; a built-in among them is reached through `builtins`.

    Raises:
        CallerError: the value is not plain.
    """
    writer = _Writer(prefix=prefix, taken=frozenset(taken))
    expression = writer.write(plain(value))
    return Code(expression, frozenset(writer.modules))


class _Writer:
    """Writes one expression and remembers the modules it used."""

    def __init__(self, *, prefix: str, taken: frozenset[str]) -> None:
        self.prefix = prefix
        self.taken = taken
        self.modules: set[str] = set()

    def write(self, value: Any) -> str:
        # The types here are exact and their repr is a literal: strings come out escaped, lone surrogates included.
        if value is None or isinstance(value, bool | str | bytes):
            return repr(value)
        for kind, write in _WRITERS:
            if isinstance(value, kind):
                return write(self, value)
        raise AssertionError(f"plain() let a {type(value)} through")

    def name(self, module: str, name: str) -> str:
        self.modules.add(module)
        return f"{self.prefix}{module}.{name}"

    def builtin(self, name: str) -> str:
        return self.name("builtins", name) if name in self.taken else name

    def items(self, values: Iterable[Any]) -> str:
        return ", ".join(self.write(value) for value in values)

    def write_float(self, value: float) -> str:
        return repr(value) if math.isfinite(value) else f"{self.builtin('float')}({str(value)!r})"

    def write_complex(self, value: complex) -> str:
        return f"{self.builtin('complex')}({self.write_float(value.real)}, {self.write_float(value.imag)})"

    def write_tuple(self, value: tuple[Any, ...]) -> str:
        return f"({self.items(value)}{',' if len(value) == 1 else ''})"

    def write_dict(self, value: dict[Any, Any]) -> str:
        return "{" + ", ".join(f"{self.write(k)}: {self.write(v)}" for k, v in value.items()) + "}"

    def write_set(self, value: Iterable[Any]) -> str:
        # Sorted by text: the cell must not change with the hash seed.
        items = sorted(self.write(item) for item in value)
        return "{" + ", ".join(items) + "}" if items else f"{self.builtin('set')}()"

    def write_frozenset(self, value: frozenset[Any]) -> str:
        return f"{self.builtin('frozenset')}({self.write_set(value) if value else ''})"

    def write_datetime(self, value: datetime) -> str:
        clock = self._clock(value)
        return f"{self.name('datetime', 'datetime')}({value.year}, {value.month}, {value.day}{clock and ', ' + clock})"

    def write_date(self, value: date) -> str:
        return f"{self.name('datetime', 'date')}({value.year}, {value.month}, {value.day})"

    def write_time(self, value: time) -> str:
        return f"{self.name('datetime', 'time')}({self._clock(value)})"

    def write_timedelta(self, value: timedelta) -> str:
        parts = (("days", value.days), ("seconds", value.seconds), ("microseconds", value.microseconds))
        return f"{self.name('datetime', 'timedelta')}({', '.join(f'{name}={n}' for name, n in parts if n)})"

    def _clock(self, value: datetime | time) -> str:
        parts = [value.hour, value.minute, value.second, value.microsecond]
        while parts and not parts[-1]:
            parts.pop()
        written = [str(part) for part in parts]
        if value.tzinfo is not None:
            written.append(f"tzinfo={self._zone(value.tzinfo)}")
        if value.fold:
            written.append("fold=1")
        return ", ".join(written)

    def _zone(self, zone: tzinfo) -> str:
        if isinstance(zone, ZoneInfo):
            return f"{self.name('zoneinfo', 'ZoneInfo')}({zone.key!r})"
        offset = zone.utcoffset(None) or timedelta(0)
        name = zone.tzname(None)
        if name == timezone(offset).tzname(None):
            if not offset:
                return self.name("datetime", "timezone.utc")
            return f"{self.name('datetime', 'timezone')}({self.write_timedelta(offset)})"
        return f"{self.name('datetime', 'timezone')}({self.write_timedelta(offset)}, {name!r})"


_WRITERS: tuple[tuple[type, Callable[[_Writer, Any], str]], ...] = (
    (int, lambda _, v: int_text(v)),
    (float, _Writer.write_float),
    (complex, _Writer.write_complex),
    (list, lambda w, v: f"[{w.items(v)}]"),
    (tuple, _Writer.write_tuple),
    (dict, _Writer.write_dict),
    (set, _Writer.write_set),
    (frozenset, _Writer.write_frozenset),
    (datetime, _Writer.write_datetime),
    (date, _Writer.write_date),
    (time, _Writer.write_time),
    (timedelta, _Writer.write_timedelta),
    (Decimal, lambda w, v: f"{w.name('decimal', 'Decimal')}({str(v)!r})"),
    (UUID, lambda w, v: f"{w.name('uuid', 'UUID')}({str(v)!r})"),
    (Path, lambda w, v: f"{w.name('pathlib', 'Path')}({os.fspath(v)!r})"),
)
