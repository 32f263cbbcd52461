"""Verifying a bundle where nobody knows its ledger: the same steps, with proofs in the place of the tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from nbprod.attest.checkpoint import Checkpoint
from nbprod.attest.keyfile import KeyFile
from nbprod.bundle import Bundle
from nbprod.errors import IntegrityError, NotFound
from nbprod.ledger.events import RunFinished
from nbprod.record.ids import RunId
from nbprod.record.review import Wanted
from nbprod.verify.asked import Asked, rooted
from nbprod.verify.bundle_names import misnamed
from nbprod.verify.outcome import Check, Conclusion, Verification
from nbprod.verify.run import Evidence, verify_run
from nbprod.verify.seen import Seen, seen_path
from nbprod.verify.survey import now_seen, survey
from nbprod.verify.trust import Trust, read_trust

__all__ = ["BundleVerifier"]

_NAMED = 3
"""Inputs that are named one by one."""


class BundleVerifier:
    """Verifies the runs of a bundle.

    Args:
        bundle: open.
        asked: how.
        environ: the environment, for the user's own file of what was seen.

    Raises:
        CallerError: what was seen before cannot be read.
        IntegrityError: the list of keys that was given is none.
        BundleInvalid: what the bundle tells of the log cannot be read.
    """

    def __init__(self, bundle: Bundle, asked: Asked, environ: Mapping[str, str]) -> None:
        self._bundle = bundle
        ledger = bundle.ledger
        faults = [_altered(3, "bundle", fault) for fault in (*bundle.faults(reads=asked.reads), *misnamed(bundle))]
        unsigned = "its pages and its README are for people: who made the bundle made them, and nobody signed them"
        faults.append(Check.beside(3, "bundle", unsigned))
        given = None if asked.keys is None else KeyFile.open(asked.keys, root=asked.root)
        try:
            told = read_trust(ledger.log)
            self._path = asked.seen or _path(told, environ)
            self._seen = None if self._path is None else Seen.read(self._path)
            root = asked.root or (given.root if given else None)
            self.trust, doubts = rooted(told, named=root, seen=self._seen)
            self.trust = _with_newer(self.trust, given, asked.keys)
            faults += [*doubts, *self._forget(told, root), *self._recall(root)]
        except IntegrityError as error:
            self._path, self._seen = None, None
            self.trust = Trust(pinned=True)
            faults.append(_altered(2, "keys", str(error)))
        found = survey(ledger.log, self.trust, seen=self._seen, given=asked.given)
        # Events without a place came at the end, of which a bundle may show an early one: a key that the list ends
        # somewhere has not signed what nobody proves to be older.
        marks = [mark for _, term in self.trust.current or () for mark in (term.first, term.end) if mark is not None]
        self.survey = replace(found, size=max(found.size, *marks, 0), checks=(*faults, *found.checks))
        self._evidence = Evidence(
            ledger=ledger,
            store=bundle.store,
            trust=self.trust,
            survey=self.survey,
            policy=asked.policy,
            reads=asked.reads,
            left_out=frozenset(each.digest for each in bundle.index.absent if each.left_out),
        )

    def _forget(self, told: Trust, named: str | None) -> Iterator[Check]:
        """Let what was seen under a strange root key not count against the one that was named.

        The memory goes by the log's name, which whoever makes a bundle can write: a forged one may have come first.
        """
        if self._seen is None or named is None or named not in told.roots or self._seen.root in told.roots:
            return
        if named not in self._seen.roots:
            other, self._seen = self._seen.root[:16], None
            under = f"what was seen of a log of this name under another root key, {other}, does not count"
            yield Check.beside(5, "consistency", f"{under}: you named the one of this")

    def _recall(self, named: str | None) -> Iterator[Check]:
        """Judge an older bundle by the list of keys that was seen since: it tells whose signatures ended where."""
        seen, current = self._seen, self.trust.current
        listed = None if seen is None or self.trust.unvouched else seen.listed
        if seen is None or listed is None or current is None or listed.log != current.log:
            return
        if current.number < listed.number and (named is None or named in seen.roots):
            self.trust = replace(self.trust, current=listed, document=seen.keys, roots=seen.roots)
            told = f"its list of keys is number {current.number}: number {listed.number}, which was seen before, counts"
            yield Check.beside(2, "keys", told)

    def run(self, run_id: RunId) -> Verification:
        """Verify one of its runs.

        What is to say of the bundle as a whole stands at the one it was made for, and only of that is it asked what
        people have said.
        """
        alone = self._evidence
        if run_id != self._bundle.run_id:
            policy = replace(alone.policy, people=Wanted())
            alone = replace(alone, survey=replace(self.survey, checks=()), policy=policy)
        found = verify_run(run_id, alone)
        checks = (*found.checks, *self._beside(run_id))
        return replace(found, checks=tuple(sorted(checks, key=lambda check: check.step)))

    def step(self, run_id: RunId) -> str:
        """Return the step of a run as its events tell, not as the index does; empty where no event tells."""
        try:
            return self._bundle.ledger.run(run_id).step
        except NotFound:
            return ""

    def all(self) -> Iterator[Verification]:
        """Verify every run, the one first that the bundle was made for."""
        return map(self.run, self._bundle.run_ids)

    def remember(self) -> Path | None:
        """Remember what was seen, if it was right and is newer than what was; return where, None for nowhere.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        now = now_seen(self.trust, self.survey)
        if now is None or self._path is None:
            return None
        if now != self._seen and not self._is_older(now):
            now.write(self._path)
        return self._path

    def _is_older(self, now: Seen) -> bool:
        """Say whether more was seen before: a bundle stays as it was when it was made."""
        before = self._seen
        return before is not None and (now.number < before.number or _size(now) < _size(before))

    def _beside(self, run_id: RunId) -> Iterator[Check]:
        """Tell what of a run the bundle does not hold, and that its index tells of it otherwise than the events."""
        absent = [each for each in self._bundle.index.absent if each.run == run_id]
        if left := [each.what for each in absent if each.left_out]:
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            told = f"who made the bundle left out what the run read: {', '.join(left[:_NAMED])}{more}"
            yield Check.beside(3, "bundle", told)
        for each in absent:
            if not each.left_out:
                yield Check.beside(3, "bundle", f"{each.what} is not in the bundle: {each.why}")
        events = [stored.event for stored in self._bundle.ledger.events(run_id)]
        ends = [event.record for event in events if isinstance(event, RunFinished)]
        named = [entry.record for entry in self._bundle.index.runs if entry.run == run_id]
        if ends != named:
            yield _altered(3, "bundle", "its index names another record of the run than the events")
        steps = [entry.step for entry in self._bundle.index.runs if entry.run == run_id]
        if any(step != self.step(run_id) for step in steps):
            yield _altered(3, "bundle", "its index names another step of the run than the events")


def _path(trust: Trust, environ: Mapping[str, str]) -> Path | None:
    """Return where it is remembered what was seen of a log in bundles: by its name, as no address is known."""
    return None if trust.current is None else seen_path(f"log:{trust.current.log}", environ)


def _size(seen: Seen) -> int:
    return Checkpoint.parse(seen.checkpoint.rpartition("\n\n")[0] + "\n").size if seen.checkpoint else 0


def _with_newer(trust: Trust, given: KeyFile | None, document: bytes | None) -> Trust:
    """Return the trust with the list of keys that the verifier brought along, where that is a later one.

    Raises:
        IntegrityError: it is of another log, or not the list of that number.
    """
    current = trust.current
    if given is None:
        return trust
    if trust.unvouched and (current is None or current.log != given.log or current.number < given.number):
        return trust  # of another log, or of before the root key was replaced: that nothing vouches for it is told
    if current is None or current.log != given.log:
        found = "none" if current is None else current.log
        raise IntegrityError("the bundle's list of keys is of another log", expected=given.log, found=found)
    if current.number < given.number and current.root in given.keys:
        roots = tuple(dict.fromkeys((*trust.roots, given.root)))
        return replace(trust, current=given, document=(document or b"").decode(), roots=roots)
    if (trust.unvouched or current.number <= given.number) and current != given:
        raise IntegrityError(f"the bundle's list of keys is not number {given.number} as given")
    return trust


def _altered(step: int, name: str, told: str) -> Check:
    return Check.failed(step, name, told, Conclusion.ALTERED)
