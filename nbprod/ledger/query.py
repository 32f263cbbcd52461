"""What can be asked of a ledger about runs, and the answer's rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from nbprod.digest import Digest, Json
from nbprod.errors import CallerError
from nbprod.record.ids import RunId
from nbprod.record.status import Status

__all__ = ["Condition", "Order", "RunQuery", "RunRow", "parse_condition"]

Kind = Literal["parameter", "scrap"]
Operator = Literal["=", "!=", "<", "<=", ">", ">="]

_KINDS: Mapping[str, Kind] = {
    "param": "parameter",
    "params": "parameter",
    "parameter": "parameter",
    "parameters": "parameter",
    "scrap": "scrap",
    "scraps": "scrap",
}
_OPERATORS: Mapping[str, Operator] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_CONDITION = re.compile(r"\s*(\w+)\.([^=!<>]+?)\s*(==|!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_ORDERINGS = ("<", "<=", ">", ">=")
_ORDERED = re.compile(r"[-+]?(\.?\d|P[\dT]|inf\Z)")
"""How numbers, dates, times, durations and versions begin."""
_COLUMNS = ("started", "finished", "seconds", "step", "status")
_QUOTED = 2
_LONGEST = 4096
"""Characters of a word that is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as the index holds it: the sum of its events.

    Args:
        status: how it ended; None while it runs.
        started: aware, UTC; so are `finished` and `lease_until`.
        seconds: how long it ran.
        parameters: values by name, in tagged form; so are `scraps`.
        record: the stored record; None while it runs.
        notebook_digest: the executed notebook, if there is one.
        tags: sorted.
        lease_until: until when it counts as alive without a heartbeat, by the ledger's clock; None once it finished.
        folder: where its working files are, on `host`.
        occasion: what it was for (`RunStarted.occasion`).
        retry_of: the run that it tried again.
        flow_run: the flow run that it belongs to.
        shared: whether others wait for it who ask for the same.
        of: the run that answered, for a `cached` one.
    """

    run_id: RunId
    step: str
    notebook: str
    status: Status | None
    reason: str | None
    started: datetime
    finished: datetime | None
    seconds: float | None
    name: str | None
    tags: tuple[str, ...]
    note: str | None
    parameters: Mapping[str, Json]
    scraps: Mapping[str, Json]
    request_digest: Digest
    record: Digest | None
    notebook_digest: Digest | None
    user: str
    host: str
    runner_pid: int
    lease_until: datetime | None
    folder: str
    occasion: str | None
    retry_of: RunId | None
    flow_run: str | None
    shared: bool
    of: RunId | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison with a parameter or scrap; a run without that value never fulfils it, not even by `!=`.

    Args:
        kind: `parameter` or `scrap`.
        name: which.
        op: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: a number compares with numbers; text compares with texts, and with numbers where it reads as one.
    """

    kind: Kind
    name: str
    op: Operator
    value: str | float | bool | None

    def __post_init__(self) -> None:
        """Refuse what is not a comparison."""
        if self.kind not in _KINDS.values() or self.op not in _OPERATORS.values():
            raise CallerError(
                "not a condition", expected="kind parameter or scrap, and one of = != < <= > >=", found=repr(self)
            )


@dataclass(frozen=True, slots=True)
class Order:
    """An order of runs; runs without the value come last in both directions, and equal ones stand by time.

    Args:
        by: `started`, `finished`, `seconds`, `step`, `status`, `params.NAME` or `scraps.NAME`.
        descending: whether the greatest, or latest, comes first.
    """

    by: str = "started"
    descending: bool = True

    def __post_init__(self) -> None:
        """Refuse orders that don't exist."""
        if self.by not in _COLUMNS and self.value is None:
            raise CallerError(
                f"runs cannot be ordered by {self.by!r}",
                expected=f"one of {', '.join(_COLUMNS)}, params.NAME, scraps.NAME",
            )

    @property
    def value(self) -> tuple[Kind, str] | None:
        """The kind and name of the value to order by; None for an order by a column."""
        word, dot, name = self.by.partition(".")
        kind = _KINDS.get(word)
        return (kind, name) if dot and name and kind is not None else None

    @classmethod
    def parse(cls, text: str) -> Order:
        """Read `seconds` (ascending) or `-seconds` (descending).

        Raises:
            CallerError: an order that doesn't exist.
        """
        return cls(text.removeprefix("-"), descending=text.startswith("-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs, in which order. All that is given must hold; by default all runs, the latest first.

    Args:
        steps: any of these steps.
        statuses: any of these endings.
        running: only runs without (True) or with (False) a verdict.
        since: started at this moment or later; aware.
        until: started before this moment; aware.
        tags: all of these tags.
        flagged: only those that nbprod has put a flag on (`nbprod.ledger.flags`), for somebody to look at.
        where: all of these conditions.
        request: only those that asked for this.
        occasion: only those that were for this.
        flow_run: only those of this flow run.
        reviewed: only those of which people said what they think, whether it counts or not.
        of: only those that this run answered.
        retry_of: only those that tried this run again.
        text: found, in any case, in step, notebook path, name, note, reason or a tag.
        order: the order.
        limit: at most so many.
    """

    steps: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()
    running: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    tags: tuple[str, ...] = ()
    flagged: bool = False
    where: tuple[Condition, ...] = ()
    request: Digest | None = None
    occasion: str | None = None
    flow_run: str | None = None
    reviewed: bool = False
    of: RunId | None = None
    retry_of: RunId | None = None
    text: str | None = None
    order: Order = field(default_factory=Order)
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse a negative limit, and words that no database can look for."""
        if self.limit is not None and self.limit < 0:
            raise CallerError("a negative limit", expected="0 or more", found=str(self.limit))
        for word in (*self.tags, self.text or ""):
            if len(word) > _LONGEST or (not word.isascii() and any("\ud800" <= sign <= "\udfff" for sign in word)):
                raise CallerError(
                    "not a word that can be looked for",
                    expected=f"Unicode text of at most {_LONGEST:,} characters",
                    found=f"{len(word):,} characters" if len(word) > _LONGEST else ascii(word),
                )


def parse_condition(text: str) -> Condition:
    """Read `params.alpha>0.1`, `scraps.auc >= 0.7` or `params.carrier="UA"`.

    Quotes around the value are taken off; it stays a text (see `Condition.value`). Without quotes, an order asks for a
    number or a date.

    Raises:
        CallerError: not such a text.
    """
    match = _CONDITION.fullmatch(text)
    kind = _KINDS.get(match[1]) if match else None
    if match is None or kind is None:
        raise CallerError(
            f"{text!r} is not a condition", expected="params.NAME or scraps.NAME, one of = != < <= > >=, and a value"
        )
    value, operator = match[4], _OPERATORS[match[3]]
    if kind == "parameter" and not all(part.isidentifier() for part in match[2].split(".")):
        raise CallerError(f"{text!r} is not a condition", expected="a parameter's name", found=repr(match[2]))
    if len(value) >= _QUOTED and value[0] == value[-1] and value[0] in "'\"":
        return Condition(kind, match[2], operator, value[1:-1])
    if operator in _ORDERINGS and not _ORDERED.match(value):
        raise CallerError(
            f"{text!r} is not a condition: {operator} orders numbers and dates",
            expected="a number or a date; a text in quotes, which is ordered as text",
            found=repr(value),
        )
    return Condition(kind, match[2], operator, value)
