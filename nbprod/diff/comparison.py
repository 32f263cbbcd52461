"""What comparing two runs came to: a value with all that was looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nbprod.diff.artifacts import ArtifactComparison
from nbprod.diff.cells import CellComparison
from nbprod.diff.scraps import ScrapComparison
from nbprod.diff.source import SourceChange
from nbprod.record.compare import Difference
from nbprod.record.ids import RunId

__all__ = ["Comparison", "Section", "VerdictComparison"]


class Section(StrEnum):
    """A part of a comparison, by the name under which it is asked for."""

    VERDICT = "verdict"
    SOURCE = "source"
    PARAMETERS = "parameters"
    INPUTS = "inputs"
    ENVIRONMENT = "environment"
    SCRAPS = "scraps"
    OUTPUTS = "outputs"
    ARTIFACTS = "artifacts"
    TIME = "time"
    """Told, and never counted as a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictComparison:
    """How two runs ended.

    Args:
        status: the earlier and the later run's status as text.
        reason: why they ended so.
        contract: requirements that were met by one run only, in words.
        same: whether nothing of it differs.
    """

    status: tuple[str, str]
    reason: tuple[str, str]
    contract: tuple[str, ...]
    same: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "status": list(self.status),
            "reason": list(self.reason),
            "contract": list(self.contract),
            "same": self.same,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs, compared.

    Args:
        before: the earlier run's id, or the one that was named first.
        after: the later run's.
        steps: names of their steps.
        verdict: how they ended.
        source: cells that differ in the source notebooks.
        parameters: values that differ.
        inputs: inputs, secrets and the published step's manifest, where they differ.
        environment: packages, interpreter and kernel that differ.
        machine: what differs in the machine, and counts for nothing.
        scraps: every scrap.
        cells: every code cell's outputs.
        artifacts: every artifact.
        seconds: from start to end; counts for nothing.
        unknown: by section, what could not be looked at and why.
    """

    before: RunId
    after: RunId
    steps: tuple[str, str]
    verdict: VerdictComparison
    source: tuple[SourceChange, ...]
    parameters: tuple[Difference, ...]
    inputs: tuple[Difference, ...]
    environment: tuple[Difference, ...]
    machine: tuple[Difference, ...]
    scraps: tuple[ScrapComparison, ...]
    cells: tuple[CellComparison, ...]
    artifacts: tuple[ArtifactComparison, ...]
    seconds: tuple[float, float]
    unknown: tuple[tuple[Section, str], ...] = ()

    @property
    def first_difference(self) -> CellComparison | None:
        """The first cell whose outputs part; None if there is none, or they could not be read."""
        return next((cell for cell in self.cells if not cell.outcome.same), None)

    def unknown_in(self, section: Section) -> tuple[str, ...]:
        """Return what could not be looked at in a section."""
        return tuple(why for each, why in self.unknown if each is section)

    def differing(self, sections: Iterable[Section] = tuple(Section)) -> tuple[Section, ...]:
        """Return which sections hold a difference that counts, what could not be looked at counted as one."""
        return tuple(section for section in sections if self._differs(section) or self.unknown_in(section))

    def _differs(self, section: Section) -> bool:
        found: dict[Section, bool] = {
            Section.VERDICT: not self.verdict.same,
            Section.SOURCE: bool(self.source),
            Section.PARAMETERS: bool(self.parameters),
            Section.INPUTS: bool(self.inputs),
            Section.ENVIRONMENT: bool(self.environment),
            Section.SCRAPS: not all(each.outcome.same for each in self.scraps),
            Section.OUTPUTS: self.first_difference is not None,
            Section.ARTIFACTS: not all(each.outcome.same for each in self.artifacts),
            Section.TIME: False,
        }
        return found[section]

    def to_json(self, sections: Iterable[Section] = tuple(Section)) -> dict[str, Any]:
        """Return it as JSON.

        Args:
            sections: which parts of it.
        """
        asked = set(sections)
        told = dict(part for part in self._parts() if part[0] in asked)
        first = self.first_difference
        return {
            "before": str(self.before),
            "after": str(self.after),
            "steps": list(self.steps),
            "differing": [str(each) for each in self.differing(each for each in Section if each in asked)],
            "first_difference": None if first is None or Section.OUTPUTS not in asked else first.cell,
            **{str(section): value for section, value in told.items()},
            "unknown": [{"section": str(each), "why": why} for each, why in self.unknown if each in asked],
        }

    def _parts(self) -> Iterator[tuple[Section, Any]]:
        yield Section.VERDICT, self.verdict.to_json()
        yield Section.SOURCE, [each.to_json() for each in self.source]
        yield Section.PARAMETERS, [each.to_json() for each in self.parameters]
        yield Section.INPUTS, [each.to_json() for each in self.inputs]
        environment = {
            "differences": [each.to_json() for each in self.environment],
            "machine": [each.to_json() for each in self.machine],
        }
        yield Section.ENVIRONMENT, environment
        yield Section.SCRAPS, [each.to_json() for each in self.scraps]
        yield Section.OUTPUTS, [each.to_json() for each in self.cells]
        yield Section.ARTIFACTS, [each.to_json() for each in self.artifacts]
        yield Section.TIME, {"seconds": list(self.seconds)}
