"""What must have been said of a published version before an alias may point at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nbprod.errors import NotApproved
from nbprod.project.person import Person
from nbprod.project.project import Project
from nbprod.project.verifying import Asked, Verifier
from nbprod.verify import Conclusion, Version

__all__ = ["refuse_unapproved"]


def refuse_unapproved(project: Project, step: str, alias: str, number: int | None, person: Person | None) -> None:
    """Refuse to let an alias point at a version of which the settings ask for more than was said.

    Args:
        project: has the settings.
        step: the step.
        alias: which alias.
        number: the version; None: the alias is taken away, which needs a key only.
        person: who is about to move it; None: nobody who may sign that.

    Raises:
        NotApproved: something is missing; it names what.
    """
    wanted = project.settings.aliases.get(alias)
    if wanted is None:
        return
    missing = [] if person is not None else ["no key of yours that may sign as promoter (`nbprod keys new promoter`)"]
    asks = []
    if number is not None:
        versions = Verifier(project, Asked()).versions(step)
        version = versions.get(number)
        if version is None:
            return  # the ledger refuses it, and says what there is
        missing += version.standing.missing(wanted, version.author)
        missing += _of_others(versions, number) if missing else ()
        missing += [each.told for each in version.checks if each.means is not Conclusion.VERIFIED]
        label = f"{step}@{number}"
        asks = [f"`nbprod approve {label} -m WHY`"] if wanted.approvals else []
        asks += [f"`nbprod sign-off {label} --as {name!r} -m WHY`" for name in wanted.sign_offs]
    if missing:
        where = "nowhere" if number is None else f"at version {number}"
        hint = f"Reviewers say what they think with {', '.join(asks)}; then give " if asks else "Then give "
        again = "--remove" if number is None else str(number)
        raise NotApproved(
            f"{step}@{alias} is not moved: it may not point {where} yet",
            expected=f"{wanted or 'a signature'}, as [tool.nbprod.aliases.{alias}] says",
            found="; ".join(missing),
            hint=f"{hint}`nbprod step alias {step} {alias} {again}`",
        )


def _of_others(versions: Mapping[int, Version], number: int) -> Iterator[str]:
    """Yield, in words, who approved or signed off another version and not this one: the latest such of each."""
    here = versions[number].standing
    there = {each.said.key_id for each in (*here.approvals, *here.rejections, *here.sign_offs)}
    told: dict[tuple[str | None, str], str] = {}
    for other, version in sorted(versions.items()):
        for each in (*version.standing.approvals, *version.standing.sign_offs):
            what = f"sign-off as {each.review.capacity!r}" if each.review.capacity else "approval"
            line = f"the {what} of {each} does not count: it is of version {other}, not of {number}"
            told |= {} if each.said.key_id in there else {(each.said.key_id, each.review.capacity): line}
    yield from told.values()
