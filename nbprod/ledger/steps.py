"""Published steps in the index: one pure rule for what may happen to them, whatever keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nbprod.digest import Digest
from nbprod.errors import CallerError, NotFound
from nbprod.ledger.errors import StepMoved
from nbprod.ledger.events import AliasMoved, StepPublished, StepReviewed

__all__ = ["StepVersion", "checked_alias", "checked_review", "checked_version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepVersion:
    """A step that was frozen in the store.

    Args:
        step: its name.
        version: counts up from 1.
        manifest: the digest of what names everything that belongs to it.
        published: aware, UTC.
        by: who published it.
        note: for people.
        aliases: the names that point at it now; sorted.
    """

    step: str
    version: int
    manifest: Digest
    published: datetime
    by: str
    note: str = ""
    aliases: tuple[str, ...] = ()


def checked_version(event: StepPublished, latest: int) -> None:
    """Refuse a version that is not the next.

    Raises:
        StepMoved: somebody else has published meanwhile.
    """
    if event.number != latest + 1:
        raise StepMoved(
            f"{event.step}@{event.number} cannot be published",
            expected=f"version {latest + 1}, the next one",
            found=f"version {event.number}",
        )


def checked_alias(event: AliasMoved, versions: frozenset[int], aliases: Mapping[str, int]) -> None:
    """Refuse a move from where the alias is not, or to what is not there (compare and set).

    Raises:
        StepMoved: the alias points elsewhere than the event says.
        NotFound: there is no such version.
        CallerError: no name for an alias.
    """
    if not event.alias or event.alias.isdigit() or "@" in event.alias:
        raise CallerError("not a name for an alias", expected="a word that is no number", found=repr(event.alias))
    current = aliases.get(event.alias)
    if current != event.before:
        raise StepMoved(
            f"{event.step}@{event.alias} was moved meanwhile",
            expected=f"it at {_version(event.before)}",
            found=f"it at {_version(current)}",
        )
    if event.number is not None:
        _published(event.step, event.number, versions)


def checked_review(event: StepReviewed, versions: frozenset[int]) -> None:
    """Refuse what is said of a version that is not there.

    Raises:
        NotFound: there is no such version.
    """
    _published(event.step, event.number, versions)


def _published(step: str, number: int, versions: frozenset[int]) -> None:
    if number not in versions:
        there = ", ".join(map(str, sorted(versions))) or "none"
        raise NotFound(f"{step}@{number} was never published", expected=f"one of the versions: {there}")


def _version(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
