"""Two runs, compared by their records and bytes; nothing is run, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbprod.diff.artifacts import compare_artifacts
from nbprod.diff.cells import CellComparison, ExecutedCell, compare_cells, executed_cells
from nbprod.diff.comparison import Comparison, Section, VerdictComparison
from nbprod.diff.pairs import Pair, pairs_of
from nbprod.diff.scraps import compare_scraps
from nbprod.diff.side import UNREADABLE, Side
from nbprod.diff.source import SourceChange, compare_sources
from nbprod.diff.tolerance import Tolerance
from nbprod.diff.trees import changes
from nbprod.digest import Json, read_canonical
from nbprod.errors import IntegrityError
from nbprod.notebook import Notebook
from nbprod.record.compare import Difference, compare_environments, compare_requests
from nbprod.record.status import Status

__all__ = ["compare"]

_PARAMETERS = frozenset(("parameter",))
_ELSEWHERE = frozenset(("source", "kernel", "environment", "parameter"))
"""Components that stand in another section than that of the inputs."""

Unknown = list[tuple[Section, str]]


def compare(before: Side, after: Side, *, tolerance: Tolerance | None = None) -> Comparison:
    """Compare two runs.

    Args:
        before: the earlier run, or the one that the other is held against.
        after: the later one.
        tolerance: for the numbers of scraps; by default whole numbers and texts are to be the same, floats within
            1e-9 of their value.

    Returns:
        The comparison. What was erased or cannot be read is told in it as what cannot be told, never as equal.
    """
    tolerance = Tolerance() if tolerance is None else tolerance
    unknown: Unknown = []
    requests = before.record.request, after.record.request
    asked = compare_requests(*requests)
    source, pairs = _sources(before, after, unknown)
    environment = [each for each in asked if each.component == "kernel"]
    if requests[0].environment != requests[1].environment:
        environment += _environments(before, after, unknown)
    return Comparison(
        before=before.record.run_id,
        after=after.record.run_id,
        steps=(requests[0].step, requests[1].step),
        verdict=_verdicts(before, after),
        source=source,
        parameters=tuple(each for each in asked if each.component in _PARAMETERS),
        inputs=tuple(each for each in asked if each.component not in _ELSEWHERE),
        environment=tuple(environment),
        machine=tuple(_machines(before, after)),
        scraps=compare_scraps(before, after, tolerance),
        cells=_cells(before, after, pairs, tolerance, unknown),
        artifacts=compare_artifacts(before, after),
        seconds=(before.record.seconds, after.record.seconds),
        unknown=tuple(unknown),
    )


def _verdicts(before: Side, after: Side) -> VerdictComparison:
    verdicts = before.record.verdict, after.record.verdict
    # A run that was answered by an earlier one has that one's results.
    status = tuple(Status.SUCCEEDED if each.status is Status.CACHED else each.status for each in verdicts)
    met = [{line.text: line.met for line in each.contract} for each in verdicts]
    contract = tuple(
        f"{text}: {_met(met[0].get(text))} → {_met(met[1].get(text))}"
        for text in dict.fromkeys((*met[0], *met[1]))
        if met[0].get(text) != met[1].get(text)
    )
    return VerdictComparison(
        status=(str(verdicts[0].status), str(verdicts[1].status)),
        reason=(verdicts[0].reason, verdicts[1].reason),
        contract=contract,
        same=status[0] is status[1] and not contract,
    )


def _met(met: bool | None) -> str:  # noqa: FBT001 - a value from the record
    return "not asked for" if met is None else "met" if met else "not met"


def _sources(before: Side, after: Side, unknown: Unknown) -> tuple[tuple[SourceChange, ...], tuple[Pair, ...] | None]:
    """Return how the sources differ and which cells belong together; None for what every index says by itself."""
    if before.record.request.source == after.record.request.source:
        return (), None
    try:
        first, second = (Notebook.parse(side.read(side.record.source_file.digest)) for side in (before, after))
    except UNREADABLE as error:
        unknown.append((Section.SOURCE, str(error)))
        return (), None
    pairs = pairs_of(first, second)
    return compare_sources(first, second, pairs), pairs


def _environments(before: Side, after: Side, unknown: Unknown) -> tuple[Difference, ...]:
    try:
        keys = [_json(side, side.record.request.environment) for side in (before, after)]
    except UNREADABLE as error:
        unknown.append((Section.ENVIRONMENT, str(error)))
        return ()
    found = compare_environments(*keys)
    if found:
        return found
    why = "the environments' digests differ, and no package, setting or kernel does"
    return (Difference(component="environment", name="", before=why, after=why),)


def _machines(before: Side, after: Side) -> Iterator[Difference]:
    digests = before.record.environment_facts, after.record.environment_facts
    if digests[0] is None or digests[1] is None or digests[0] == digests[1]:
        return
    try:
        facts = _json(before, digests[0]), _json(after, digests[1])
    except UNREADABLE:
        return  # it counts for nothing, and what it is about may be gone
    for leaf in changes(*facts):
        yield Difference(component="machine", name=leaf.path, before=leaf.before, after=leaf.after)


def _json(side: Side, digest: Any) -> Json:
    try:
        return read_canonical(side.read(digest))
    except ValueError as error:
        raise IntegrityError(f"the object {digest} is no JSON", found=str(error)) from error


def _cells(
    before: Side, after: Side, pairs: tuple[Pair, ...] | None, tolerance: Tolerance, unknown: Unknown
) -> tuple[CellComparison, ...]:
    read: list[Mapping[int, ExecutedCell]] = []
    for side in (before, after):
        try:
            read.append(executed_cells(side.read(side.record.notebook.digest)))
        except UNREADABLE as error:
            unknown.append((Section.OUTPUTS, str(error)))
    if len(read) != 2:  # noqa: PLR2004 - two runs
        return ()
    if pairs is None:
        numbers = sorted({*read[0], *read[1]})
        pairs = tuple(Pair(before=number, after=number) for number in numbers)
    return compare_cells((read[0], before.own), (read[1], after.own), pairs, tolerance)
