"""The ledger's tables, as queries see them; `migrations/` makes them, with their constraints and the reasons."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, MetaData, Table, Text

__all__ = [
    "VERSION_TABLE",
    "events",
    "log_leaves",
    "log_nodes",
    "log_notes",
    "metadata",
    "run_tags",
    "run_uses",
    "run_values",
    "runs",
    "step_aliases",
    "step_versions",
]

VERSION_TABLE = "nbprod_version"
"""Alembic's table, under a name of our own: a PostgreSQL database may be shared with another application's."""

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("run_id", Text),
    Column("step", Text),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("reversed_id", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("notebook", Text, nullable=False),
    Column("status", Text),
    Column("reason", Text),
    Column("started", Text, nullable=False),
    Column("finished", Text),
    Column("seconds", Float),
    Column("name", Text),
    Column("note", Text),
    Column("parameters", Text, nullable=False),
    Column("scraps", Text, nullable=False),
    Column("request_digest", Text, nullable=False),
    Column("record", Text),
    Column("notebook_digest", Text),
    Column("user_name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("runner_pid", Integer, nullable=False),
    Column("lease_until", Text),
    Column("cancel_requested", Text),
    Column("folder", Text, nullable=False),
    Column("search", Text, nullable=False),
    Column("occasion", Text),
    Column("retry_of", Text),
    Column("flow_run", Text),
    Column("shared", Integer, nullable=False),
    Column("of_run", Text),
    Column("fence", Integer, nullable=False, server_default="0"),
)

run_tags = Table(
    "run_tags",
    metadata,
    Column("run_id", Text, ForeignKey("runs.run_id"), primary_key=True),
    Column("tag", Text, primary_key=True),
)

run_values = Table(
    "run_values",
    metadata,
    Column("run_id", Text, ForeignKey("runs.run_id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("num", Float),
    Column("text", Text),
)

run_uses = Table(
    "run_uses",
    metadata,
    Column("run_id", Text, ForeignKey("runs.run_id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("of_run", Text),
)

step_versions = Table(
    "step_versions",
    metadata,
    Column("step", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("manifest", Text, nullable=False),
    Column("published", Text, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("note", Text, nullable=False),
)

step_aliases = Table(
    "step_aliases",
    metadata,
    Column("step", Text, primary_key=True),
    Column("alias", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)

log_leaves = Table(
    "log_leaves",
    metadata,
    Column("idx", Integer, primary_key=True),
    Column("seq", Integer, ForeignKey("events.seq"), nullable=False),
    Column("hash", Text, nullable=False),
)

log_nodes = Table(
    "log_nodes",
    metadata,
    Column("level", Integer, primary_key=True),
    Column("idx", Integer, primary_key=True),
    Column("hash", Text, nullable=False),
)

log_notes = Table(
    "log_notes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
)
