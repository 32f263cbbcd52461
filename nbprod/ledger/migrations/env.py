"""What Alembic runs: the migrations, in the transaction that `nbprod.ledger.schema` hands over."""

from __future__ import annotations

from alembic import context

from nbprod.ledger.tables import VERSION_TABLE, metadata

__all__: list[str] = []

# Alembic gives its context a config only while it runs this file; imported alone, there is nothing to do.
_config = getattr(context, "config", None)
if _config is not None:
    context.configure(
        connection=_config.attributes["connection"],
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
    context.run_migrations()
