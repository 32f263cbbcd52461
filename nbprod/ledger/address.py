"""A ledger's address: where `[tool.nbprod]` says that the events are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nbprod.errors import SettingsError
from nbprod.ledger.ledger import Ledger
from nbprod.ledger.moment import utc_now

__all__ = ["open_ledger"]

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgresql+psycopg://", "postgres://")


def open_ledger(url: str, *, clock: Callable[[], datetime] = utc_now, base: Path | None = None) -> Ledger:
    """Open a ledger, making or migrating it where that is due.

    Args:
        url: a path, `sqlite:///path` (four slashes for an absolute one, as in SQLAlchemy), or `memory://`, which is a
            new, empty one each time; `postgresql://user@host/database` or `postgresql+psycopg://…`.
        clock: dates the events that the ledger itself makes; aware. Leases in memory are judged by it, too; those in a
            database by the database's clock.
        base: the folder that relative paths start from; the current one by default.

    Raises:
        SettingsError: an address that nbprod can't open.
        LedgerUnavailable: the ledger can't be opened there.
        UnsupportedVersion: a newer nbprod made it.
    """
    if url.startswith("memory://"):
        from nbprod.ledger.memory import MemoryLedger  # noqa: PLC0415

        return MemoryLedger(clock=clock)
    from nbprod.ledger.sql import SqlLedger  # noqa: PLC0415  SQLAlchemy takes 0.2 s to import

    if url.startswith(_POSTGRESQL):
        from nbprod.ledger.postgresql import postgresql_database  # noqa: PLC0415

        return SqlLedger(postgresql_database(url), clock=clock)
    path = url.removeprefix(_SQLITE)
    if "://" in path or path in ("", ":memory:") or "\0" in path:
        raise SettingsError(
            "this version keeps no ledger there",
            expected="a path, sqlite:///path, postgresql://user@host/database or memory://",
            found=path.partition("://")[0] + "://" if "://" in path else repr(url),  # the rest may hold a password
        )
    from nbprod.ledger.sqlite import sqlite_database  # noqa: PLC0415

    return SqlLedger(sqlite_database((base or Path()) / Path(path).expanduser()), clock=clock)
