"""Verifying a project's runs: what is trusted, what was seen before, and what is remembered afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from nbprod.attest.keyfile import KeyFile
from nbprod.attest.keys import PublicKey
from nbprod.digest import Json
from nbprod.errors import (
    EnvironmentFault,
    IntegrityError,
    LedgerUnavailable,
    NotFound,
    ObjectUnreadable,
    UnsupportedVersion,
)
from nbprod.ledger.steps import StepVersion
from nbprod.project.keys import own_keys
from nbprod.project.project import Project
from nbprod.project.verifying_together import share
from nbprod.publish import Manifest, StepReference, resolve
from nbprod.record.ids import RunId
from nbprod.verify import (
    Asked,
    Check,
    Conclusion,
    Evidence,
    Seen,
    Spoken,
    Trust,
    Verification,
    Version,
    judge_step,
    read_trust,
    spoken_of,
    survey,
    verify_version,
)
from nbprod.verify import verify_log as verify_whole
from nbprod.verify import verify_run as verify_one
from nbprod.verify.asked import rooted
from nbprod.verify.objects import Object
from nbprod.verify.seen import seen_path
from nbprod.verify.survey import now_seen

__all__ = ["Asked", "Verifier", "named"]


class Verifier:
    """Verifies the runs of a project, once or many.

    Args:
        project: whose.
        asked: how.

    Raises:
        CallerError: what was seen before cannot be read.
        IntegrityError: the list of keys that was given is none.
    """

    def __init__(self, project: Project, asked: Asked) -> None:
        self.root, self.environ, self.asked = project.root, project.environ, asked
        home = project.home
        faults: list[Check] = []
        try:
            home.ledger.log.sequence()
        except LedgerUnavailable:  # one that may only be read is verified as it is
            pass
        except IntegrityError as error:
            faults.append(_altered(str(error)))
        self._path = asked.seen or seen_path(home.ledger.url, project.environ)
        self._seen = None if self._path is None else Seen.read(self._path)
        given = None if asked.keys is None else KeyFile.open(asked.keys, root=asked.root)
        named_root = asked.root or (given.root if given else None)
        try:
            told = read_trust(home.ledger.log, own=_own(project))
            self.trust, doubts = rooted(told, named=named_root, seen=self._seen)
            faults += [*_older(self.trust, given), *doubts]
        except IntegrityError as error:
            self.trust = Trust(pinned=True)
            faults.append(_altered(str(error)))
        found = survey(home.ledger.log, self.trust, seen=self._seen, given=asked.given)
        self.survey = replace(found, checks=(*faults, *found.checks))
        self.evidence = Evidence(
            ledger=home.ledger,
            store=home.store,
            trust=self.trust,
            survey=self.survey,
            policy=asked.policy,
            reads=asked.reads,
            guarded=project.settings.aliases,
        )

    def run(self, run_id: RunId) -> Verification:
        """Verify a run."""
        return verify_one(run_id, self.evidence)

    def spoken(self, run_id: RunId) -> tuple[Spoken, ...]:
        """Return what people have said of a run, each with what came of its signature."""
        return spoken_of(tuple(self.evidence.ledger.events(run_id)), self.evidence)

    def versions(self, step: str) -> dict[int, Version]:
        """Return a step's published versions by number, with what people have said of them."""
        return judge_step(step, self.evidence.ledger, self.evidence.court())[0]

    def version(self, found: StepVersion, *, alias: str | None = None) -> Verification:
        """Verify a published version: all of its bytes, who published it, and what people have said of it.

        Args:
            found: the version.
            alias: the alias by which it was named; if the settings guard it, they ask for what it needs.

        Raises:
            IntegrityError: no event tells of it.
        """
        version = self.versions(found.step).get(found.version)
        if version is None:
            raise IntegrityError(
                f"{found.step}@{found.version} is in the ledger's index, and no event says that it was published",
                hint="Keep a copy of the ledger before anything else; see `nbprod ledger check`",
            )
        digest = version.event.manifest
        files = [Object(what="the manifest", digest=digest)]
        git: Mapping[str, Json] | None = None
        # What is suppressed is told of the manifest itself.
        with suppress(NotFound, IntegrityError, ObjectUnreadable, UnsupportedVersion):
            manifest = Manifest.from_bytes(self.evidence.store.get(digest))
            git = manifest.git
            files += [Object(what="the environment key", digest=manifest.environment)]
            files += [Object(what=each.path, digest=each.digest, size=each.size) for each in manifest.files]
        return verify_version(version, found, files, git, self.evidence, alias=alias)

    def all(self, looked: Callable[[int], None] = lambda _: None) -> Iterator[Verification]:
        """Verify the log, and then each run that has ended."""
        return verify_whole(self.evidence, looked, partial(share, self))

    def remember(self) -> Path | None:
        """Remember what was seen, if it was right; return where, None where nothing is remembered.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        now = now_seen(self.trust, self.survey)
        if now is None or self._path is None:
            return None
        if now != self._seen:
            now.write(self._path)
        return self._path


def _own(project: Project) -> Mapping[str, tuple[str, PublicKey]]:
    try:
        return own_keys(project)
    except EnvironmentFault:  # others may read one: then it proves nothing
        return {}


def _older(trust: Trust, given: KeyFile | None) -> list[Check]:
    current = trust.current
    if given is None or (trust.unvouched and (current is None or current.log != given.log)):
        return []
    if current is not None and current.number > given.number and not trust.unvouched:
        return []
    return [] if current == given else [_altered(f"the log's list of keys is not number {given.number} as given")]


def _altered(told: str) -> Check:
    return Check.failed(2, "keys", told, Conclusion.ALTERED)


def named(project: Project, text: str) -> RunId | StepVersion:
    """Return the published version, or else the run, that a text names; `STEP@latest` is a run.

    Raises:
        NotFound: there is neither.
    """
    ledger, reference = project.home.ledger, StepReference.parse(text)
    if reference is not None and reference.which != "latest" and ledger.published(reference.step):
        return resolve(reference, ledger)
    return ledger.find(text)
