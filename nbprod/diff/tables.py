"""Tables in files: the same if schema and values are, however they are packed; else what differs by column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import zip_longest
from typing import Any, BinaryIO

from nbprod.diff.content import Content
from nbprod.diff.outcome import Outcome

__all__ = ["compare_csv", "compare_parquet"]

PARQUET, CSV = "schema and values of parquet", "rows of CSV"
_MOST_COLUMNS = 500
_MOST_BYTES = 1 << 30
"""Bytes of a parquet file's columns, unpacked as its footer says, that are read one after the other."""
_MOST_CHARACTERS = 1 << 30
_SHOWN = 30


def compare_parquet(before: BinaryIO, after: BinaryIO) -> Content:
    """Compare two parquet files by schema and values, column by column; needs pyarrow.

    What stands in the footer about who wrote it, and how rows are grouped and packed, is left out.
    """
    if not find_spec("pyarrow"):
        why = "it is not looked into: that needs pyarrow (`pip install pyarrow`)"
        return Content(outcome=Outcome.DIFFERENT, by=PARQUET, told=(why,))
    from pyarrow import ArrowException  # type: ignore[import-untyped]  # noqa: PLC0415 - optional, and slow to import
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        with ParquetFile(before) as first, ParquetFile(after) as second:
            return _compare_files(first, second)
    except (ArrowException, OSError, ValueError, NotImplementedError, OverflowError) as error:
        why = f"they are not looked into: {' '.join(str(error).split())[:200]}"
        return Content(outcome=Outcome.DIFFERENT, by=PARQUET, told=(why,))


def _compare_files(before: Any, after: Any) -> Content:
    files = before, after
    schemas = before.schema_arrow, after.schema_arrow
    told: list[str] = []
    rows = before.metadata.num_rows, after.metadata.num_rows
    if rows[0] != rows[1]:
        told.append(f"rows: {rows[0]:,} → {rows[1]:,}")
    types = [{name: str(schema.field(name).type) for name in dict.fromkeys(schema.names)} for schema in schemas]
    for name in dict.fromkeys((*types[0], *types[1])):
        kinds = types[0].get(name), types[1].get(name)
        if kinds[0] != kinds[1]:
            told.append(f"column {name}: {kinds[0] or 'not there'} → {kinds[1] or 'not there'}")
    if not told and schemas[0].names != schemas[1].names:
        told.append(f"order of columns: {', '.join(schemas[0].names)} → {', '.join(schemas[1].names)}")
    sizes = [sum(each.metadata.row_group(n).total_byte_size for n in range(each.num_row_groups)) for each in files]
    if max(sizes) > _MOST_BYTES or max(map(len, types)) > _MOST_COLUMNS:
        told.append("their values are not looked into: there are too many")
        return Content(outcome=Outcome.DIFFERENT, by=PARQUET, told=tuple(told))
    for name in types[0]:
        if types[0][name] == types[1].get(name):
            told += _compare_columns(name, *(each.read(columns=[name]) for each in files))
    outcome = Outcome.DIFFERENT if told else Outcome.NORMALISED
    return Content(outcome=outcome, by=PARQUET, told=_few(told))


def _compare_columns(name: str, before: Any, after: Any) -> Iterator[str]:
    import pyarrow.compute as pc  # type: ignore[import-untyped]  # noqa: PLC0415 - optional

    if before.equals(after):
        return
    if before.num_columns != 1 or after.num_columns != 1:  # a name twice, or a struct that was read in part
        yield f"column {name}: values differ"
        return
    first, second = before.column(0), after.column(0)
    apart = ""
    if len(first) == len(second):
        differs = _apart(first, second)
        if differs == 0:
            return
        apart = "" if differs is None else f"{differs:,} of {len(first):,} values differ"
    words = [_summary(column, pc) for column in (first, second)]
    told = [apart, f"{words[0]} → {words[1]}" if words[0] != words[1] else "" if apart else "values differ"]
    yield f"column {name}: {'; '.join(filter(None, told))}"


def _apart(before: Any, after: Any) -> int | None:
    """Return in how many rows two columns differ, NaN taken for equal to NaN; None for types without an equality."""
    import pyarrow as pa  # noqa: PLC0415 - optional
    import pyarrow.compute as pc  # noqa: PLC0415

    try:
        same = pc.fill_null(pc.equal(before, after), False)
        same = pc.or_(same, pc.and_(before.is_null(), after.is_null()))
        if pa.types.is_floating(before.type):
            both = pc.and_(pc.is_nan(before), pc.is_nan(after))
            same = pc.or_(same, pc.fill_null(both, False))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return None
    return len(before) - int(pc.sum(same).as_py() or 0)


def _summary(column: Any, pc: Any) -> str:
    import pyarrow as pa  # noqa: PLC0415 - optional

    told = [f"{column.null_count:,} missing"] if column.null_count else []
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        low, high = pc.min_max(column).as_py().values()
        mean = pc.mean(column).as_py()
        told += ["no values"] if low is None else [f"{low:.6g} to {high:.6g}", f"mean {mean:.6g}"]
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind):
        told.append(f"{pc.count_distinct(column).as_py():,} distinct")
    elif pa.types.is_temporal(kind):
        low, high = pc.min_max(column).as_py().values()
        told.append(f"{low} to {high}")
    return ", ".join(told)


@dataclass(slots=True)
class _Column:
    """What is known of a column of a CSV file after some rows."""

    filled: int = 0
    numbers: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, text: str) -> None:
        if not text:
            return
        self.filled += 1
        try:
            number = float(text)
        except ValueError:
            return
        if math.isfinite(number):
            self.numbers, self.total = self.numbers + 1, self.total + number
            self.low, self.high = min(self.low, number), max(self.high, number)

    def __str__(self) -> str:
        """Return it in words."""
        if self.numbers and self.numbers == self.filled:
            return f"{self.filled:,} numbers, {self.low:.6g} to {self.high:.6g}, mean {self.total / self.numbers:.6g}"
        return f"{self.filled:,} filled"


@dataclass(slots=True)
class _Table:
    """A CSV file as it is read: its head, and what its columns came to."""

    head: list[str]
    columns: list[_Column] = field(default_factory=list)
    rows: int = 0

    def add(self, row: Sequence[str] | None) -> None:
        if row is None:
            return
        self.rows += 1
        for column, text in zip(self.columns, row, strict=False):
            column.add(text)


def compare_csv(before: BinaryIO, after: BinaryIO) -> Content:
    """Compare two CSV files row by row, in flat memory; how fields are quoted and lines end is left out."""
    try:
        return _compare_csv(before, after)
    except (csv.Error, UnicodeDecodeError, _TooLongError) as error:
        return Content(outcome=Outcome.DIFFERENT, by=CSV, told=(f"they are not looked into: {error}",))


class _TooLongError(Exception):
    """More characters than are looked into."""


def _compare_csv(before: BinaryIO, after: BinaryIO) -> Content:
    readers = [csv.reader(_lines(each), strict=True) for each in (before, after)]
    first, second = (_Table(next(reader, [])) for reader in readers)
    told: list[str] = []
    if first.head != second.head:
        told.append(f"columns: {_names(first.head)} → {_names(second.head)}")
    for table in (first, second):
        if len(table.head) > _MOST_COLUMNS:
            raise _TooLongError(f"more than {_MOST_COLUMNS} columns")
        table.columns = [_Column() for _ in table.head]
    apart = 0
    for rows in zip_longest(*readers):
        apart += rows[0] != rows[1]
        first.add(rows[0])
        second.add(rows[1])
    if first.rows != second.rows:
        told.append(f"rows: {first.rows:,} → {second.rows:,}")
    elif apart:
        told.append(f"{apart:,} of {first.rows:,} rows differ")
    if not told:
        return Content(outcome=Outcome.NORMALISED, by=CSV)
    others = dict(zip(second.head, second.columns, strict=True))
    for name, column in zip(first.head, first.columns, strict=True):
        if name in others and str(column) != str(others[name]):
            told.append(f"column {name}: {column} → {others[name]}")
    return Content(outcome=Outcome.DIFFERENT, by=CSV, told=_few(told))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a text; newlines stay as they are, as the csv module wants them."""
    size = 0
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        while line := text.readline(_MOST_CHARACTERS // 1000):
            size += len(line)
            if size > _MOST_CHARACTERS:
                raise _TooLongError(f"more than {_MOST_CHARACTERS:,} characters")
            yield line


def _names(head: Sequence[str]) -> str:
    told = ", ".join(head[:_SHOWN])
    return told if len(head) <= _SHOWN else f"{told} and {len(head) - _SHOWN} more"


def _few(told: list[str]) -> tuple[str, ...]:
    return tuple(told) if len(told) <= _SHOWN else (*told[:_SHOWN], f"… and {len(told) - _SHOWN} more")
