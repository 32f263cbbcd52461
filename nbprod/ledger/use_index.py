"""What bytes runs used and left, as rows: lineage asks for them by run, by digest and by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, exists, false, func, or_, select

from nbprod.digest import Digest
from nbprod.errors import CallerError
from nbprod.ledger.errors import damaged
from nbprod.ledger.tables import run_uses, runs
from nbprod.ledger.uses import AskedUses, RunUse
from nbprod.record.ids import RunId
from nbprod.record.uses import ROLES, Use

__all__ = ["count_untold", "find_uses", "use_columns"]


def use_columns(run_id: RunId, uses: Iterable[Use]) -> list[dict[str, Any]]:
    """Return the rows of the table `run_uses`."""
    return [
        {
            "run_id": run_id.text,
            "role": use.role,
            "digest": str(use.digest),
            "name": use.name.replace("\0", "\ufffd"),  # PostgreSQL takes no NUL
            "of_run": None if use.run is None else use.run.text,
        }
        for use in dict.fromkeys(uses)
    ]


def find_uses(connection: Connection, asked: AskedUses) -> tuple[RunUse, ...]:
    """Return the uses asked for: the latest run's first, those of one run by role, digest and name."""
    here = run_uses.c
    either: Sequence[tuple[Any, Iterable[object]]] = (
        (here.run_id, asked.runs),
        (here.digest, asked.digests),
        (here.name, asked.names),
        (here.of_run, asked.given_by),
    )
    terms = [column.in_([str(each) for each in values]) for column, values in either if values]
    if asked.beginning:  # by the index: 'g' stands after every digit
        begins = f"sha256:{asked.beginning}"
        terms.append(here.digest.between(begins, f"{begins}g"))
    query = select(run_uses).where(or_(false(), *terms))
    if asked.roles != ROLES:
        query = query.where(here.role.in_(asked.roles))
    query = query.order_by(here.run_id.desc(), here.role, here.digest, here.name).limit(asked.limit)
    try:
        return tuple(_row(row) for row in connection.execute(query))
    except (CallerError, ValueError, TypeError, AttributeError) as error:
        raise damaged("the ledger's index of what runs used", error) from error


def count_untold(connection: Connection) -> int:
    """Return how many finished runs there are of before uses were kept."""
    told = exists().where(run_uses.c.run_id == runs.c.run_id)
    query = select(func.count()).select_from(runs).where(runs.c.status.is_not(None), ~told)
    return int(connection.execute(query).scalar_one())


def _row(row: Any) -> RunUse:
    run = None if row.of_run is None else RunId(row.of_run)
    use = Use(role=row.role, digest=Digest.parse(row.digest), name=row.name, run=run)
    return RunUse(run_id=RunId(row.run_id), use=use)
