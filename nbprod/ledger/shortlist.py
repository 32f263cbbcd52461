"""The few runs that can answer a query, where a condition leaves only few.

A database that walks through an order until its page is full, or plans by estimates, may look at every run before it
finds that a tag is nowhere. So those conditions that have an index of their own are asked first, for some thousand runs
at most; whoever gets fewer has all of them, and the rest is done with these alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    FromClause,
    Select,
    Text,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from nbprod.ledger.index import sought_text
from nbprod.ledger.query import Condition, RunQuery
from nbprod.ledger.review_events import RunReviewed
from nbprod.ledger.selection import fulfilled
from nbprod.ledger.tables import events, run_tags, run_values, runs
from nbprod.ledger.values import wanted

__all__ = ["is_asked_for", "shortlist"]

FEW = 5000
"""Runs that a shortlist holds at most. With more, they come so often that a walk finds a page soon."""

Search = Callable[[Connection, str], Select[Any] | None]
"""Makes the query for the ids of the runs that may hold a text; None where there is no index for it."""


def is_asked_for(query: RunQuery) -> bool:
    """Say whether a query has a condition that may leave only few runs."""
    return bool(query.tags or query.where or query.text or query.reviewed)


def shortlist(connection: Connection, query: RunQuery, search: Search) -> FromClause:
    """Return the runs, as a table like `runs`, among which all are that a query asks for.

    Args:
        connection: has begun a transaction.
        query: what is asked for.
        search: finds texts.
    """
    for ids in _conditions(connection, query, search):
        found = connection.execute(ids.limit(FEW + 1)).scalars().all()
        if len(found) <= FEW:
            # Materialized: the database is not to think of a better way again.
            here = select(runs).where(_is_among(connection, found))
            return here.cte("few").prefix_with("MATERIALIZED")
    return runs


def _conditions(connection: Connection, query: RunQuery, search: Search) -> Iterator[Select[Any]]:
    for tag in query.tags:
        yield select(run_tags.c.run_id).where(run_tags.c.tag == tag)
    for condition in query.where:
        yield from _fulfilling(condition)
    if query.text:
        texts = search(connection, sought_text(query.text))
        if texts is not None:
            yield texts
    if query.reviewed:
        yield select(events.c.run_id).where(events.c.kind == literal_column(f"'{RunReviewed.__name__}'"))


def _fulfilling(condition: Condition) -> Iterator[Select[Any]]:
    if condition.op == "!=":
        return  # holds for nearly all
    ids = select(run_values.c.run_id)
    sought = wanted(condition.value)
    if condition.op != "=" or sought.number is None or not sought.texts:
        yield ids.where(*fulfilled(condition, run_values))
        return
    # Numbers and texts have an index each.
    number = ids.where(*fulfilled(replace(condition, value=sought.number), run_values))
    text = run_values.c.text.in_(sought.texts)
    texts = ids.where(run_values.c.kind == condition.kind, run_values.c.name == condition.name, text)
    yield select(union_all(number, texts).subquery().c.run_id)


def _is_among(connection: Connection, ids: Sequence[str]) -> ColumnElement[bool]:
    """Compare with all ids as one value: thousands would each have to be bound."""
    if connection.dialect.name == "postgresql":
        return runs.c.run_id == any_(bindparam(None, list(ids), ARRAY(Text)))
    return runs.c.run_id.in_(select(func.json_each(json.dumps(ids)).table_valued("value").c.value))
