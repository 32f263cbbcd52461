"""What people say of runs and published versions: approvals, rejections, sign-offs, and taking them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.attest.keyfile import Role
from nbprod.digest import Digest
from nbprod.errors import CallerError
from nbprod.ledger import RunRow
from nbprod.ledger.events import RunReviewed, StepReviewed
from nbprod.ledger.review_events import reviewed
from nbprod.project.person import Person, needed_person
from nbprod.project.project import Project
from nbprod.project.run import Run
from nbprod.project.verifying import Asked, Verifier, named
from nbprod.project.words import refuse_secrets
from nbprod.publish.reference import StepReference, resolve
from nbprod.record.ids import RunId
from nbprod.record.review import Decision, Review
from nbprod.runner.ports import user_name
from nbprod.verify import Outcome, Spoken, Standing, Version, later, standing

__all__ = [
    "Subject",
    "aliases_of",
    "review",
    "reviews_of_run",
    "runs_that_stand",
    "spoken_json",
    "standing_json",
    "subject_of",
    "version_of",
]

_LONGEST = 1000
"""Characters of a reason, or of a sign-off's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a person looks at.

    Args:
        of: a run's id, or a published version such as `train@3`.
        digest: the run's record, or the version's manifest.
        run: the run; None for a version.
    """

    of: str
    digest: Digest
    run: Run | None = None

    def __str__(self) -> str:
        """Return it as people call it."""
        return self.of if self.run is None else f"run {self.run.id.short} of {self.run.step}"


def subject_of(project: Project, text: str) -> Subject:
    """Return the published version, or else the run, that a text names; `STEP@latest` is a run.

    Raises:
        NotFound: there is neither, or the run has not ended.
    """
    found = named(project, text)
    if not isinstance(found, RunId):
        return Subject(of=f"{found.step}@{found.version}", digest=found.manifest)
    run = project.run(str(found))
    row = project.home.ledger.run(run.id)
    assert row.record is not None  # noqa: S101 - it has ended
    return Subject(of=str(run.id), digest=row.record, run=run)


def review(
    project: Project, text: str, decision: Decision, *, why: str, capacity: str = "", key: Path | None = None
) -> tuple[Subject, RunReviewed | StepReviewed, Person]:
    """Say, and sign, what one thinks of a run or of a published version.

    Args:
        project: whose.
        text: names the run or version.
        decision: what is said.
        why: the reason.
        capacity: of a sign-off: the respect in which it is fine.
        key: the private key's file; None: that of NBPROD_KEY, or of one's own folder.

    Raises:
        NotFound: there is nothing of that name.
        CallerError: it cannot be approved: it is unsigned, did not succeed, or does not verify; or nobody here may
            sign as a reviewer.
        EnvironmentFault: the key cannot be read.
    """
    why, capacity = _line(why, "reason"), _line(capacity, "sign-off's name")
    if not why:
        raise CallerError("there is no reason", expected="a few words after -m: they stay, and are shown")
    if decision is Decision.SIGNED_OFF and not capacity:
        raise CallerError("a sign-off needs a name", expected="the respect in which it is fine, such as `risk`")
    refuse_secrets(project, reason=why, **{"name of the sign-off": capacity})
    subject = subject_of(project, text)
    if decision in (Decision.APPROVED, Decision.SIGNED_OFF):
        _refuse_unsound(project, subject)
    _refuse_strangers_log(project, subject)
    person = needed_person(project, Role.REVIEWER, file=key)
    said = Review(
        of=subject.of,
        digest=subject.digest,
        decision=decision,
        at=project.now(),
        by=user_name(),
        why=why,
        capacity=capacity,
        log=person.log,
    )
    if decision is Decision.WITHDRAWN:
        _refuse_idle(project, subject, person)
    event = reviewed(said, person.sign(said.to_bytes()))
    project.home.ledger.append(event)
    return subject, event, person


def _line(text: str, what: str) -> str:
    text = " ".join(text.split())  # on one line: it stands among lines of our own
    if len(text) > _LONGEST:
        expected = f"at most {_LONGEST:,} characters"
        raise CallerError(f"the {what} is too long", expected=expected, found=f"{len(text):,} characters")
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        expected = "UTF-8: a byte that is none, such as a control character of eight bits, cannot be kept"
        raise CallerError(f"the {what} is no text", expected=expected, found=ascii(text)[:80])
    return text


def _refuse_unsound(project: Project, subject: Subject) -> None:
    """Refuse to approve what nobody should: no signature of the runner's, no success, or bytes that are not right."""
    run = subject.run
    if run is None:
        project.home.read(subject.digest)  # of a version, the manifest vouches for the rest
        return
    if run.attestation is None:
        raise CallerError(
            f"{subject} is not signed: nobody can tell whether its record is what the runner wrote",
            expected="a run that the runner's key has signed",
            hint="Run it again with a key: `nbprod doctor` tells why there was none",
        )
    if not run.status.good:
        raise CallerError(
            f"{subject} {run.status}: there is nothing to approve",
            expected="a run that succeeded",
            found=run.reason,
            hint="`nbprod reject` and `nbprod note` may say more of it",
        )
    found = Verifier(project, Asked()).run(run.id)
    if not found:
        grave = [check for check in found.checks if check.means is found.conclusion]
        raise CallerError(
            f"{subject} cannot be approved",
            expected="a run that verifies",
            found=f"{found.conclusion}: {grave[0].told if grave else ''}",
            hint=f"See `nbprod verify {run.id.short}`",
        )


def _refuse_strangers_log(project: Project, subject: Subject) -> None:
    """Refuse to begin the list of keys of a log that others write: it would not know their keys."""
    verifier = Verifier(project, Asked())
    if verifier.trust.current is not None:
        return
    if subject.run is None:
        checks = [version_of(project, subject.of).publication.check]
    else:
        checks = [check for check in verifier.run(subject.run.id).checks if check.name == "signature"]
    if any(check.outcome is Outcome.CANNOT_TELL for check in checks):
        raise CallerError(
            f"this log has no list of keys yet, and {subject} was signed by a key that is not yours",
            expected="a list that says whose signatures count",
            hint="Ask whoever signed it for `nbprod keys init`, and to put your key on that list",
        )


def _refuse_idle(project: Project, subject: Subject, person: Person) -> None:
    """Refuse to take back what was never said, or was taken back before."""
    mine = [each for each in _spoken(project, subject) if each.said.key_id == person.key.public.id]
    stands = standing(mine)
    if stands.approvals or stands.rejections or stands.sign_offs:
        return
    if not mine:
        raise CallerError(f"the key {person} has said nothing of {subject} that could be taken back")
    last = mine[-1].review
    raise CallerError(
        f"the key {person} has nothing left to take back of {subject}",
        expected="an approval, a rejection or a sign-off of its own that stands",
        found=f"all of it was taken back on {last.at:%Y-%m-%d %H:%M} UTC, because: {last.why}",
    )


def _spoken(project: Project, subject: Subject) -> Sequence[Spoken]:
    if subject.run is not None:
        return Verifier(project, Asked()).spoken(subject.run.id)
    return version_of(project, subject.of).spoken


def reviews_of_run(project: Project, run_id: RunId) -> tuple[tuple[Spoken, ...], Standing]:
    """Return all that was said of a run, each with what came of its signature, and what of it stands."""
    spoken = Verifier(project, Asked()).spoken(run_id)
    return spoken, standing(spoken)


def runs_that_stand(project: Project, rows: Iterable[RunRow], word: str) -> Iterator[RunRow]:
    """Yield the runs that are `approved`, or `rejected`, by signatures that count."""
    verifier = Verifier(project, Asked())
    yield from (row for row in rows if standing(verifier.spoken(row.run_id)).word == word)


def version_of(project: Project, text: str) -> Version:
    """Return a published version, and what people said of it.

    Raises:
        NotFound: there is no such version.
        CallerError: no reference to one.
    """
    reference = StepReference.parse(text)
    if reference is None:
        raise CallerError(f"{text!r} names no published step", expected="STEP@VERSION or STEP@ALIAS, e.g. train@3")
    found = resolve(reference, project.home.ledger)
    return Verifier(project, Asked()).versions(found.step)[found.version]


def aliases_of(project: Project, step: str, number: int) -> tuple[str, ...]:
    """Return the names that point at a version now."""
    here = (each for each in project.home.ledger.published(step) if each.version == number)
    return next(here).aliases


def spoken_json(spoken: Sequence[Spoken]) -> list[dict[str, Any]]:
    """Return what was said as JSON, in the order of the log."""
    overtaken = later(spoken)
    return [
        {
            "decision": str(each.review.decision),
            "as": each.review.capacity or None,
            "of": each.review.of,
            "by": each.review.by,
            "at": each.review.at.isoformat(),
            "why": each.review.why,
            "key": each.said.key_id,
            "label": each.said.label or None,
            "counts": each.said.key_id is not None,
            "later": overtaken.get(each),
            "told": each.said.check.told,
        }
        for each in spoken
    ]


def standing_json(found: Standing) -> dict[str, Any]:
    """Return what stands as JSON."""
    return {
        "stands": found.word or None,
        "approved_by": [str(each) for each in found.approvals],
        "rejected_by": [str(each) for each in found.rejections],
        "signed_off": {each.review.capacity: str(each) for each in found.sign_offs},
        "not_counted": [
            {"decision": str(each.spoken.review.decision), "by": str(each.spoken), "why": each.why}
            for each in found.void
        ],
    }
