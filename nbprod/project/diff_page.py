"""Two runs side by side as a web page, for reviewers who read no code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

from nbprod.diff import Comparison, Outcome, Section
from nbprod.diff.words import duration_text, headline, section_line
from nbprod.printable import printable
from nbprod.project.page import POLICY
from nbprod.project.run import Run
from nbprod.record.compare import Difference

__all__ = ["diff_page"]

_EXPLAINED = {
    Section.VERDICT: "How the runs ended, and whether they left what they must leave.",
    Section.SOURCE: "The notebook itself: its text and its code.",
    Section.PARAMETERS: "The values that were set for the run.",
    Section.INPUTS: "Files and results of other runs that were read, by their content.",
    Section.ENVIRONMENT: "Versions of the software that ran.",
    Section.SCRAPS: "Named results that the notebook reported.",
    Section.OUTPUTS: "What each cell of the notebook printed and drew.",
    Section.ARTIFACTS: "Files that the run wrote.",
    Section.TIME: "How long it took; never counts as a difference.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A section as the page shows it: its name, what it is about, how it compares, and a word for its colour."""

    name: str
    about: str
    line: str
    tone: str
    unknown: tuple[str, ...]


def diff_page(found: Comparison, runs: tuple[Run, Run], sections: Sequence[Section] = tuple(Section)) -> bytes:
    """Return the comparison as HTML: one file, no script, no reference to the outside, every text escaped (law 10).

    Args:
        found: the comparison.
        runs: the two runs.
        sections: which sections are shown.
    """
    import jinja2  # noqa: PLC0415 - slow to import, and only here

    frame = jinja2.Environment(
        loader=jinja2.PackageLoader("nbprod.project", "templates"),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = frame.get_template("diff.html.j2").render(
        policy=POLICY,
        title=f"{runs[0].step} {runs[0].id.short} and {runs[1].id.short}, compared",
        headline=headline(found, sections),
        differs=bool(found.differing(sections)),
        runs=[(_about(run), word) for run, word in zip(runs, ("before", "after"), strict=True)],
        parts=[_part(found, section) for section in sections],
        found=found,
        differences={
            Section.PARAMETERS: list(_rows(found.parameters)),
            Section.INPUTS: list(_rows(found.inputs)),
            Section.ENVIRONMENT: [*_rows(found.environment), *_rows(found.machine)],
        },
        tone=_tone,
        changed=lambda entries: [each for each in entries if each.outcome is not Outcome.EQUAL],
        line_tone=lambda line: {"-": "gone", "+": "new"}.get(line[:1], "same"),
        duration=duration_text,
    )
    return page.encode("utf-8", "replace")


def _about(run: Run) -> dict[str, str]:
    record = run.record
    return {
        "id": str(run.id),
        "step": run.step,
        "name": record.labels.name or "",
        "status": str(run.status),
        "good": "yes" if run else "",
        "started": f"{record.started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "by": f"{record.user} on {record.host}",
    }


def _part(found: Comparison, section: Section) -> _Part:
    unknown = found.unknown_in(section)
    tone = "plain" if section is Section.TIME else "bad" if found.differing([section]) else "good"
    return _Part(
        name=str(section),
        about=_EXPLAINED[section],
        line=section_line(found, section),
        tone="unsure" if unknown else tone,
        unknown=unknown,
    )


def _rows(found: Sequence[Difference]) -> Iterator[tuple[str, str, str]]:
    for each in found:
        what = each.name if each.component == "parameter" else f"{each.component} {each.name}".strip()
        yield what, each.before, each.after


def _tone(outcome: Outcome) -> str:
    return "good" if outcome.same else "unsure" if outcome is Outcome.UNKNOWN else "bad"
