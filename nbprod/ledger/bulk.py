"""Many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Float, Integer, Table, Text, insert

__all__ = ["insert_rows"]

_ARRAYS = {Integer: "bigint", Float: "float8", Text: "text"}
"""The types of arrays in PostgreSQL, by those of columns."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that all have the same columns."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), rows)
        return
    # One statement with an array per column: row by row, each would be bound and parsed by itself.
    types = {name: _ARRAYS[type(table.c[name].type)] for name in rows[0]}
    names = ", ".join(types)
    arrays = ", ".join(f"%({name})s::{kind}[]" for name, kind in types.items())
    statement = f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608 - our own names
    connection.exec_driver_sql(statement, {name: [row[name] for row in rows] for name in types})
