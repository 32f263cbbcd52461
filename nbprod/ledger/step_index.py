"""Published steps as rows: what their events do to the index, and how it is read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from nbprod.digest import Digest
from nbprod.errors import CallerError
from nbprod.ledger.errors import damaged
from nbprod.ledger.events import AliasMoved, StepEvent, StepPublished, StepReviewed
from nbprod.ledger.moment import moment_text, parse_moment
from nbprod.ledger.steps import StepVersion, checked_alias, checked_review, checked_version
from nbprod.ledger.tables import step_aliases, step_versions

__all__ = ["index_step", "versions_of"]


def index_step(connection: Connection, event: StepEvent) -> None:
    """Let the index follow from an event.

    Raises:
        StepMoved, NotFound, CallerError: the event doesn't fit what is there.
    """
    here = step_versions.c.step == event.step
    versions = frozenset(connection.execute(select(step_versions.c.version).where(here)).scalars())
    if isinstance(event, StepPublished):
        checked_version(event, max(versions, default=0))
        connection.execute(
            insert(step_versions).values(
                step=event.step,
                version=event.number,
                manifest=str(event.manifest),
                published=moment_text(event.at),
                published_by=event.by,
                note=event.note,
            )
        )
    elif isinstance(event, AliasMoved):
        rows = connection.execute(select(step_aliases).where(step_aliases.c.step == event.step))
        checked_alias(event, versions, {row.alias: row.version for row in rows})
        _move(connection, event)
    elif isinstance(event, StepReviewed):
        checked_review(event, versions)


def _move(connection: Connection, event: AliasMoved) -> None:
    here = (step_aliases.c.step == event.step, step_aliases.c.alias == event.alias)
    if event.number is None:
        connection.execute(delete(step_aliases).where(*here))
    elif event.before is None:
        connection.execute(insert(step_aliases).values(step=event.step, alias=event.alias, version=event.number))
    else:
        connection.execute(update(step_aliases).where(*here).values(version=event.number))


def versions_of(connection: Connection, step: str | None) -> tuple[StepVersion, ...]:
    """Return the versions of a step, or of all: by step, the latest version first."""
    names: dict[tuple[str, int], list[str]] = {}
    for row in connection.execute(select(step_aliases)):
        names.setdefault((row.step, row.version), []).append(row.alias)
    query = select(step_versions).order_by(step_versions.c.step, step_versions.c.version.desc())
    if step is not None:
        query = query.where(step_versions.c.step == step)
    try:
        return tuple(_version(row, names.get((row.step, row.version), [])) for row in connection.execute(query))
    except (CallerError, ValueError, TypeError, AttributeError) as error:
        raise damaged("the ledger's list of published steps", error) from error


def _version(row: Any, aliases: list[str]) -> StepVersion:
    return StepVersion(
        step=row.step,
        version=row.version,
        manifest=Digest.parse(row.manifest),
        published=parse_moment(row.published),
        by=row.published_by,
        note=row.note,
        aliases=tuple(sorted(aliases)),
    )
