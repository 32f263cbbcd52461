"""Verifying a published version, step by step as a run is; the numbers are those of docs/how-to/verify.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbprod.attest.keyring import DEVELOPMENT
from nbprod.ledger.events import AliasMoved, StepPublished, StepReviewed
from nbprod.ledger.steps import StepVersion
from nbprod.verify.included import check_included, proof_in
from nbprod.verify.objects import BYTES, STEP, Object, Objects
from nbprod.verify.outcome import Check, Conclusion, Outcome, Verification
from nbprod.verify.policy import STEP as ASKED
from nbprod.verify.policy import Known
from nbprod.verify.run import Evidence
from nbprod.verify.steps import Version

__all__ = ["verify_version"]


def verify_version(
    version: Version,
    indexed: StepVersion,
    files: Sequence[Object],
    git: Mapping[str, Any] | None,
    evidence: Evidence,
    *,
    alias: str | None = None,
) -> Verification:
    """Verify a published version.

    Args:
        version: with what came of the signatures.
        indexed: the same as the index has it.
        files: all that belongs to it; the manifest first.
        git: what git said when it was published.
        evidence: what it is verified against.
        alias: the alias by which it was named; if the settings guard it, they ask for what it needs.
    """
    found = [
        *_checks(version, files, git, evidence),
        *_index(version.event, indexed, evidence),
        *_aliases(version, evidence, alias),
    ]
    checks = sorted(found, key=lambda check: check.step)
    return Verification(subject=f"{version.event.step}@{version.event.number}", checks=tuple(checks))


def _checks(
    version: Version, files: Sequence[Object], git: Mapping[str, Any] | None, evidence: Evidence
) -> Iterator[Check]:
    yield from evidence.survey.checks
    publication = version.publication
    if version.event.attestation is None:
        yield Check.failed(1, "signature", "nobody has signed its publication", Conclusion.UNSIGNED)
    elif publication.key_id is None and publication.check.means is Conclusion.VERIFIED:
        yield Check.open(2, "key", "no key that may publish has signed its publication")
    yield from version.checks
    yield from _read(files, evidence)
    event = version.event
    events = [
        stored
        for stored in evidence.ledger.step_events(event.step)
        if isinstance(stored.event, StepPublished | StepReviewed) and stored.event.number == event.number
    ]
    log, newest = evidence.ledger.log, evidence.newest
    included = check_included(events, log.leaf_of, newest, proof_in(log, newest))
    yield from included
    trust, label = evidence.trust, publication.label or None
    known = Known(
        covered=all(check.outcome is Outcome.PASSED for check in included),
        label=DEVELOPMENT if publication.development else label,
        listed=trust.current is not None,
        pinned=trust.pinned,
        standing=version.standing,
        author=version.author,
        git=git,
    )
    yield from evidence.policy.checks(known, development=DEVELOPMENT)


def _aliases(version: Version, evidence: Evidence, alias: str | None) -> Iterator[Check]:
    """Tell of what an alias asks for, and whether aliases point at what was rejected since."""
    event = version.event
    wanted = None if alias is None else evidence.guarded.get(alias)
    if wanted is not None:
        missing = tuple(version.standing.missing(wanted, version.author))
        asks = f"{event.step}@{alias} asks for {wanted or 'nothing'}"
        yield from (Check.open(ASKED, "alias", f"{asks}: {told}") for told in missing)
        if not missing:
            yield Check.passed(ASKED, "alias", f"{asks}: it has that, and nobody rejects it")
    if version.standing.rejections:
        here = [each for each in evidence.ledger.published(event.step) if each.version == event.number]
        for name in (name for each in here for name in each.aliases):
            yield Check.rejected(ASKED, "alias", f"{event.step}@{name} points at it")


def _index(event: StepPublished, indexed: StepVersion, evidence: Evidence) -> Iterator[Check]:
    """Compare the index, by which a version is found, with the events."""
    told = (indexed.manifest, indexed.published, indexed.by, indexed.note)
    by, note = (text.replace("\0", "\ufffd") for text in (event.by, event.note))  # as PostgreSQL's index has it
    if told not in ((event.manifest, event.at, event.by, event.note), (event.manifest, event.at, by, note)):
        yield _altered("the index says something else of its publication than the event")
    moves = (stored.event for stored in evidence.ledger.step_events(event.step))
    now = {move.alias: move.number for move in moves if isinstance(move, AliasMoved)}
    here = {alias for alias, number in now.items() if number == event.number}
    for alias in sorted(here ^ {*indexed.aliases}):
        which, other = (
            ("the events let", "the index does not") if alias in here else ("the index lets", "no event does")
        )
        yield _altered(f"{which} {event.step}@{alias} point at it, and {other}")


def _altered(told: str) -> Check:
    return Check.failed(STEP, "events", f"{told}: see `nbprod ledger check`", Conclusion.ALTERED)


def _read(files: Sequence[Object], evidence: Evidence) -> Iterator[Check]:
    """Read and hash a version's files; where they are not to be read, its manifest alone, which names them."""
    wanted = list(files)
    if not evidence.reads:
        yield Check.beside(STEP, BYTES, f"{len(wanted) - 1} objects were not looked at, as was asked for")
        del wanted[1:]
    faults = [fault for _, fault in Objects(evidence.store).read(wanted)]
    yield from faults
    yield Check.passed(STEP, BYTES, f"{len(wanted) - len(faults)} objects were read, and are what the manifest says")
