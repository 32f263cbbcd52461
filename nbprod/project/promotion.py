"""What must have been said of a published version before an alias may point at it."""

from __future__ import annotations

from nbprod.errors import NotApproved
from nbprod.project.person import Person
from nbprod.project.project import Project
from nbprod.project.verifying import Asked, Verifier
from nbprod.verify import Conclusion

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
        version = Verifier(project, Asked()).versions(step).get(number)
        if version is None:
            return  # the ledger refuses it, and says what there is
        missing += version.standing.missing(wanted, version.author)
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
