"""The ledger's schema version: read with one query, brought up to date where that is due."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect, text

from nbprod.errors import LedgerUnavailable, UnsupportedVersion
from nbprod.ledger.tables import VERSION_TABLE

__all__ = ["HEAD", "VERSIONS", "is_current", "migrate", "version_of"]

VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every schema version, the oldest first; kept here so that an up-to-date ledger opens without importing Alembic."""

HEAD = VERSIONS[-1]


def is_current(connection: Connection, url: str) -> bool:
    """Say whether the schema is this version's.

    Raises:
        UnsupportedVersion: a newer nbprod made it.
        LedgerUnavailable: the database is another application's.
    """
    found = _version(connection, url)
    if found is not None and found not in VERSIONS:
        raise UnsupportedVersion(
            f"the ledger {url} was written by a newer nbprod",
            expected=f"schema {HEAD} or older",
            found=f"schema {found}",
            hint="Use that nbprod, or a newer one",
        )
    return found == HEAD


def migrate(connection: Connection, url: str) -> bool:
    """Bring the schema up to date, in the writing transaction that the connection has begun.

    Several processes may try at once: the second finds it done.

    Returns:
        Whether there was anything to do.
    """
    if is_current(connection, url):
        return False
    with _quiet("alembic"):
        from alembic import command  # noqa: PLC0415  0.2 s that only a migration pays
        from alembic.config import Config  # noqa: PLC0415

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "nbprod.ledger:migrations")
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "head")
    return True


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's plain messages out of the log of whoever called, unless a level was set for it on purpose."""
    logger = logging.getLogger(name)
    if logger.level != logging.NOTSET:
        yield
        return
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(logging.NOTSET)


def version_of(connection: Connection) -> str | None:
    """Return the schema's version; None where there is none yet."""
    if VERSION_TABLE not in inspect(connection).get_table_names():
        return None
    version: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    return version


def _version(connection: Connection, url: str) -> str | None:
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608  a constant
    if tables:
        raise LedgerUnavailable(
            f"{url} is no ledger",
            expected="a ledger, or an empty database",
            found=f"a database with the tables {', '.join(sorted(tables)[:5])}",
            hint="Choose another path, database or schema for the ledger",
        )
    return None
