"""A comparison in sentences, the same in terminals and on pages."""

from __future__ import annotations

from collections.abc import Sequence

from nbprod.diff.comparison import Comparison, Section
from nbprod.diff.outcome import Outcome

__all__ = ["duration_text", "headline", "section_line"]

_COUNTED = tuple(section for section in Section if section is not Section.TIME)
_MINUTE = 60


def headline(found: Comparison, sections: Sequence[Section]) -> str:
    """Return what the comparison came to in one or two sentences."""
    differing = found.differing(sections)
    counted = [section for section in sections if section is not Section.TIME]
    if not counted:
        return "How long runs take is told, and never counts as a difference."
    if not differing:
        looked = "anything that counts" if set(_COUNTED) <= set(counted) else _listed([str(each) for each in counted])
        return f"The runs do not differ in {looked}."
    first = found.first_difference
    told = f"The runs differ in {_listed([str(each) for each in differing])}."
    if first is not None and Section.OUTPUTS in sections:
        told += f" The first cell whose output differs is cell {first.cell}."
    return told


def section_line(found: Comparison, section: Section) -> str:
    """Return how a section compares, in a few words."""
    if section is Section.TIME:
        return f"{duration_text(found.seconds[0])} → {duration_text(found.seconds[1])}"
    if section is Section.VERDICT:
        return _verdict(found)
    if section is Section.SOURCE:
        words = [each.change for each in found.source]
        counts = [f"{words.count(word)} {word}" for word in ("changed", "added", "removed") if word in words]
        return f"cells: {', '.join(counts)}" if counts else _same(found, section)
    compared: dict[Section, tuple[str, list[Outcome]]] = {
        Section.SCRAPS: ("scrap", [each.outcome for each in found.scraps]),
        Section.OUTPUTS: ("cell", [each.outcome for each in found.cells]),
        Section.ARTIFACTS: ("artifact", [each.outcome for each in found.artifacts]),
    }
    if section in compared:
        return _outcomes(*compared[section], found, section)
    count = {
        Section.PARAMETERS: len(found.parameters),
        Section.INPUTS: len(found.inputs),
        Section.ENVIRONMENT: len(found.environment),
    }[section]
    return f"{count} {'differs' if count == 1 else 'differ'}" if count else _same(found, section)


def _verdict(found: Comparison) -> str:
    before, after = found.verdict.status
    if found.verdict.same:
        return f"the same: {before}" if before == after else f"the same: {before}, {after}"
    return f"{before} → {after}" if before != after else "the contract was met otherwise"


def _same(found: Comparison, section: Section) -> str:
    return "cannot tell" if found.unknown_in(section) else "the same"


def _outcomes(what: str, outcomes: Sequence[Outcome], found: Comparison, section: Section) -> str:
    if not outcomes:
        return "cannot tell" if found.unknown_in(section) else f"no {what}s"
    many = f"{len(outcomes)} {what}{'' if len(outcomes) == 1 else 's'}"
    counts = [f"{outcomes.count(each)} {each}" for each in reversed(Outcome) if each in outcomes]
    return f"the same: {many}" if set(outcomes) == {Outcome.EQUAL} else f"of {many}: {', '.join(counts)}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def duration_text(seconds: float | None) -> str:
    """Return seconds as people say them; nothing for None."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // _MINUTE} min {int(seconds) % _MINUTE:02} s"
