"""What stands of versions and runs, asked of many at once; where nobody said anything, it costs next to nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nbprod.errors import NbprodError
from nbprod.ledger import RunQuery, RunRow
from nbprod.ledger.events import RunReviewed, StepReviewed
from nbprod.ledger.steps import StepVersion
from nbprod.record.ids import RunId

if TYPE_CHECKING:
    from nbprod.project.project import Project
    from nbprod.verify import Spoken, Standing, Version

__all__ = ["Doubt", "doubted_aliases", "judged_versions", "remark_on", "said_of_run", "standings_of_runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """An alias that points at a version which somebody has rejected, or for which less stands than it asks for.

    Args:
        version: where it points.
        alias: which.
        told: who rejected it and why, or what is missing; in words.
    """

    version: StepVersion
    alias: str
    told: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in a sentence."""
        where = f"{self.version.step}@{self.alias} points at version {self.version.version}"
        return f"{where}: {'; '.join(self.told)}"


def judged_versions(project: Project, versions: Collection[StepVersion]) -> dict[tuple[str, int], Version]:
    """Return, by step and number, those versions of which somebody said something, with what stands of it."""
    spoken = {step: _reviewed(project, step) for step in {each.step for each in versions}}
    wanted = {(each.step, each.version) for each in versions if each.version in spoken[each.step]}
    return _judged(project, wanted)


def _judged(project: Project, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
    if not wanted:
        return {}
    from nbprod.project.verifying import Asked, Verifier  # noqa: PLC0415 - slow to import, and seldom needed

    verifier = Verifier(project, Asked())
    steps = {step: verifier.versions(step) for step in {step for step, _ in wanted}}
    return {(step, number): steps[step][number] for step, number in wanted}


def _reviewed(project: Project, step: str) -> set[int]:
    events = (stored.event for stored in project.home.ledger.step_events(step))
    return {event.number for event in events if isinstance(event, StepReviewed)}


def doubted_aliases(project: Project) -> Iterator[Doubt]:
    """Yield the aliases whose versions were rejected since, and the guarded ones for which too little stands."""
    pointed = [(each, alias) for each in project.home.ledger.published() for alias in each.aliases]
    guarded = project.settings.aliases
    found = judged_versions(project, [each for each, _ in pointed])
    found |= _judged(project, {(each.step, each.version) for each, alias in pointed if alias in guarded})
    for each, alias in pointed:
        version = found.get((each.step, each.version))
        if version is None:
            continue
        stands, wanted = version.standing, guarded.get(alias)
        told = stands.against if wanted is None else tuple(stands.missing(wanted, version.author))
        if told:
            yield Doubt(version=each, alias=alias, told=told)


def remark_on(project: Project, version: StepVersion, name: str) -> str:
    """Return what whoever runs a version has to know: that somebody has rejected it; empty: nobody has.

    Runs are not refused for it: it came later than what was decided when an alias moved, and what is scheduled would
    stop in the middle of the night.

    Args:
        project: whose.
        version: which.
        name: by which name it was asked for: a number, an alias, or `latest`.
    """
    if version.version not in _reviewed(project, version.step):
        return ""
    label = f"{version.step}@{version.version}"
    called = label if name == str(version.version) else f"{label}, which {version.step}@{name} names,"
    try:
        (found,) = _judged(project, [(version.step, version.version)]).values()
    except NbprodError as error:
        return f"whether somebody has rejected {called} cannot be told: {error.what}"
    against = found.standing.against
    return f"REJECTED: {called} is run although {'; '.join(against)}" if against else ""


def said_of_run(project: Project, run_id: RunId) -> tuple[tuple[Spoken, ...], str]:
    """Return all that people have said of a run, and the word for what of it stands."""
    if not _spoken_of(project, run_id):
        return (), ""
    from nbprod.project.reviews import reviews_of_run  # noqa: PLC0415 - slow to import, and seldom needed

    spoken, stands = reviews_of_run(project, run_id)
    return spoken, stands.word


def standings_of_runs(project: Project, query: RunQuery, rows: Sequence[RunRow] | None = None) -> dict[RunId, Standing]:
    """Return what stands of those runs of which somebody said something.

    Args:
        project: whose.
        query: which runs.
        rows: what it found, if that is a few: then only those are looked at, and not all runs of the ledger.
    """
    ledger = project.home.ledger
    ids: Iterable[RunId] = (
        row.run_id for row in (ledger.runs(replace(query, reviewed=True)) if rows is None else rows)
    )
    wanted = [each for each in ids if rows is None or _spoken_of(project, each)]
    if not wanted:
        return {}
    from nbprod.project.verifying import Asked, Verifier  # noqa: PLC0415 - slow to import, and seldom needed
    from nbprod.verify import standing  # noqa: PLC0415

    verifier = Verifier(project, Asked())
    return {each: standing(verifier.spoken(each)) for each in wanted}


def _spoken_of(project: Project, run_id: RunId) -> bool:
    return any(isinstance(stored.event, RunReviewed) for stored in project.home.ledger.events(run_id))
