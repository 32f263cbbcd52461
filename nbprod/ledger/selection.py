"""A `RunQuery` as SQL: pages by keyset, so that page 5,000 costs what page 1 costs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import FromClause, Select, and_, exists, or_, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from nbprod.ledger.flags import FLAGS
from nbprod.ledger.index import sought_text
from nbprod.ledger.moment import moment_text
from nbprod.ledger.query import Condition, Order, RunQuery
from nbprod.ledger.review_events import RunReviewed
from nbprod.ledger.tables import events, run_tags, run_values, runs
from nbprod.ledger.values import wanted
from nbprod.record.ids import RunId

__all__ = ["Stretch", "fulfilled", "selected", "stretches"]

_OPERATORS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Stretch:
    """A part of an order within which the keys are never NULL, so that rows compare and indexes serve.

    Args:
        base: the rows, with their keys as `key0`, `key1` …
        keys: the columns to sort by, all in one direction; the last makes them unique.
        descending: the direction.
    """

    base: Select[Any]
    keys: tuple[ColumnElement[Any], ...]
    descending: bool

    def page(self, after: tuple[Any, ...] | None, size: int) -> Select[Any]:
        """Return the query for the next rows after those keys."""
        page = self.base.order_by(*(key.desc() if self.descending else key.asc() for key in self.keys)).limit(size)
        if after is None:
            return page
        here, there = tuple_(*self.keys), tuple_(*after)
        return page.where(here < there if self.descending else here > there)


def stretches(order: Order, runs: FromClause = runs) -> tuple[Stretch, ...]:
    """Return the parts of an order, in order: runs without the value come last in both directions.

    Args:
        order: which.
        runs: the runs to be ordered; all, or those of them that are asked for.
    """
    by_time = (runs.c.started, runs.c.run_id)
    if order.by == "started":
        return (_stretch(order, None, by_time, source=runs),)
    if order.value is None:
        column = runs.c[order.by]
        present = _stretch(order, column.is_not(None), (column, *by_time), source=runs)
        return (present,) if order.by == "step" else (present, _stretch(order, column.is_(None), by_time, source=runs))
    kind, name = order.value
    found = and_(run_values.c.run_id == runs.c.run_id, run_values.c.kind == kind, run_values.c.name == name)
    joined = runs.join(run_values, found)
    columns = (run_values.c.num, run_values.c.text)
    return (
        *(
            _stretch(order, column.is_not(None), (column, run_values.c.run_id), source=runs, joined=joined)
            for column in columns
        ),
        _stretch(order, ~exists().where(found), by_time, source=runs),
    )


def selected(query: RunQuery, runs: FromClause = runs) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a query, all of which must hold.

    Args:
        query: which.
        runs: the runs that are selected from.
    """
    terms = _equal(query, runs)
    if query.steps:
        terms.append(runs.c.step.in_(query.steps))
    if query.statuses:
        terms.append(runs.c.status.in_([str(status) for status in query.statuses]))
    if query.running is not None:
        terms.append(runs.c.status.is_(None) if query.running else runs.c.status.is_not(None))
    if query.since is not None:
        terms.append(runs.c.started >= moment_text(query.since))
    if query.until is not None:
        terms.append(runs.c.started < moment_text(query.until))
    if query.text is not None:
        terms.append(runs.c.search.contains(sought_text(query.text), autoescape=True))
    terms += [exists().where(run_tags.c.run_id == runs.c.run_id, run_tags.c.tag == tag) for tag in query.tags]
    if query.flagged:
        terms.append(exists().where(run_tags.c.run_id == runs.c.run_id, run_tags.c.tag.in_(FLAGS)))
    if query.reviewed:
        terms.append(exists().where(events.c.run_id == runs.c.run_id, events.c.kind == RunReviewed.__name__))
    for condition in query.where:
        values = run_values.alias()
        terms.append(exists().where(values.c.run_id == runs.c.run_id, *fulfilled(condition, values)))
    return tuple(terms)


def _equal(query: RunQuery, runs: FromClause) -> list[ColumnElement[bool]]:
    request = None if query.request is None else str(query.request)
    asked = {"request_digest": request, "occasion": query.occasion, "flow_run": query.flow_run}
    asked |= {"of_run": _id(query.of), "retry_of": _id(query.retry_of)}
    return [runs.c[name] == value for name, value in asked.items() if value is not None]


def _id(run_id: RunId | None) -> str | None:
    return None if run_id is None else run_id.text


def _stretch(
    order: Order,
    condition: ColumnElement[bool] | None,
    keys: tuple[ColumnElement[Any], ...],
    *,
    source: FromClause,
    joined: FromClause | None = None,
) -> Stretch:
    labelled = (key.label(f"key{place}") for place, key in enumerate(keys))
    base = select(source, *labelled).select_from(source if joined is None else joined)
    return Stretch(base if condition is None else base.where(condition), keys, order.descending)


def fulfilled(condition: Condition, values: FromClause) -> tuple[ColumnElement[bool], ...]:
    """Return what holds for a value (`run_values`) that fulfils a condition."""
    sought = wanted(condition.value)
    equal: ColumnElement[bool] = values.c.text.in_(sought.texts)
    if sought.number is not None:
        equal = or_(values.c.num == sought.number, equal)
    if condition.op == "=":
        compared: ColumnElement[bool] = equal
    elif condition.op == "!=":
        # NULL is neither equal nor unequal in SQL; a number is unequal to every text.
        texts = or_(values.c.text.is_(None), values.c.text.not_in(sought.texts))
        compared = (
            and_(texts, or_(values.c.num.is_(None), values.c.num != sought.number))
            if sought.number is not None
            else texts
        )
    elif sought.number is not None:
        compared = _OPERATORS[condition.op](values.c.num, sought.number)
    else:
        compared = _OPERATORS[condition.op](values.c.text, sought.texts[0])
    return (values.c.kind == condition.kind, values.c.name == condition.name, compared)
