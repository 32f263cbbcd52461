"""The log as a whole: its lists of keys, its checkpoints, and what was seen of it before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbprod.attest.checkpoint import Checkpoint
from nbprod.attest.keyfile import KeyFile
from nbprod.bundle.views import BundleLog
from nbprod.errors import IntegrityError
from nbprod.ledger.log import EventLog, NoteKind, StoredNote
from nbprod.merkle import root_of
from nbprod.record.counted import counted
from nbprod.verify.outcome import Check, Conclusion
from nbprod.verify.seen import Seen
from nbprod.verify.trust import Trust

__all__ = ["STEP", "Signed", "Survey", "now_seen", "opened", "survey"]

STEP = 5
_NAME = "consistency"
_GIVEN = "the one given"
_SHOWN = 100
"""Characters of a log's name."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that a key of the log has signed.

    Args:
        checkpoint: what it says.
        note: the signed text.
        source: where it comes from, in words.
        has_say: whether such a key may sign the log's state at that size.
    """

    checkpoint: Checkpoint
    note: str
    source: str
    has_say: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found out about the log as a whole.

    Args:
        size: how many events have a place.
        signed: all checkpoints that fit the log, the smallest first.
        checks: what was checked.
    """

    size: int
    signed: tuple[Signed, ...]
    checks: tuple[Check, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing speaks against the log as a whole."""
        return all(check.means is Conclusion.VERIFIED for check in self.checks)

    @property
    def newest(self) -> Signed | None:
        """The largest checkpoint that fits the log."""
        return self.signed[-1] if self.signed else None


def now_seen(trust: Trust, found: Survey) -> Seen | None:
    """Return what a verifier is to remember of a log; None where it was not right, or nobody may sign it."""
    if trust.current is None or not found.is_sound:
        return None
    note = "" if found.newest is None else found.newest.note
    current = trust.current
    return Seen(
        log=current.log,
        root=current.root,
        number=current.number,
        checkpoint=note,
        keys=trust.document,
        roots=trust.roots,
    )


def survey(log: EventLog, trust: Trust, *, seen: Seen | None = None, given: Sequence[str] = ()) -> Survey:
    """Look at the log as a whole.

    Args:
        log: which.
        trust: whose signatures count.
        seen: what the verifier remembers.
        given: checkpoints that were kept elsewhere, as signed notes.
    """
    size = log.size()
    checks: list[Check] = [_altered(fault) for fault in log.faults()]
    found: list[Signed] = []
    remembered = [] if seen is None or not seen.checkpoint else [(seen.checkpoint, "the one seen last time")]
    if seen is not None:
        checks += _same_log(log, trust, seen)
    last = max(log.notes(NoteKind.CHECKPOINT), key=lambda note: note.number, default=None)
    own = [] if last is None else [(last.body, "the log's own newest")]
    for note, source in (*remembered, *((each, _GIVEN) for each in given), *own):
        try:
            signed = opened(note, source, trust)
        except IntegrityError as error:
            checks.append(_proves_nothing(error) if source == _GIVEN else _altered(f"checkpoint ({source}): {error}"))
            continue
        if not signed.has_say and (note, source) in own:  # of a key that was revoked since: anybody may have it
            at = counted(signed.checkpoint.size, "event")
            told = f"{source} checkpoint proves nothing: its key has no say at {at}"
            checks.append(Check.beside(STEP, _NAME, told))
            continue
        try:
            comparable = _compare(log, size, signed)
        except IntegrityError as error:
            checks.append(_altered(f"checkpoint ({source}): {error}"))
            continue
        if not comparable:
            # A bundle that is made later leads there from what was seen: all that a log signs is kept in it.
            older = (note, source) in remembered and signed.checkpoint.size > size
            checks.append(_beyond(signed, older=older))
            continue
        told = f"the log has all of the checkpoint of {counted(signed.checkpoint.size, 'event')} ({source}), unchanged"
        checks.append(Check.passed(STEP, _NAME, told))
        found += [signed] if signed.has_say else []
    found += _earlier(log, size, trust, last) if not found else []
    if not remembered and not given:
        told = "nothing was seen of this log before, and no checkpoint from elsewhere was given to compare it with"
        checks.append(Check.beside(STEP, _NAME, told))
    found.sort(key=lambda each: each.checkpoint.size)
    return Survey(size=size, signed=tuple(found), checks=tuple(checks))


def _same_log(log: EventLog, trust: Trust, seen: Seen) -> Iterator[Check]:
    current = trust.current
    if current is None:
        yield _altered(f"its list of keys is gone: last time there was number {seen.number}")
    elif current.log != seen.log:
        yield _altered(f"another log is in its place: last time it was {seen.log}, now it is {current.log}")
    elif _other_list(log, seen):
        yield _altered(f"its list of keys number {seen.number} is not the one that was seen")
    elif current.number < seen.number and isinstance(log, BundleLog):
        told = f"its list of keys is number {current.number}, and number {seen.number} was seen"
        yield Check.open(STEP, _NAME, f"{told}: what that lets nobody sign any more is not known. Give it: --keys")
    elif current.number < seen.number:
        yield _altered(f"an older list of keys is in place: last time it was number {seen.number}")


def _other_list(log: EventLog, seen: Seen) -> bool:
    """Say whether the log has another list of keys of the number that was seen last."""
    listed = seen.listed
    lists = [note.body for note in log.notes(NoteKind.KEYS)]
    return listed is not None and len(lists) >= seen.number and KeyFile.open(lists[seen.number - 1].encode()) != listed


def _earlier(log: EventLog, size: int, trust: Trust, last: StoredNote | None) -> list[Signed]:
    """Return the newest of the log's own earlier checkpoints that fits, and whose key has a say; none if none does."""
    notes = [note for note in log.notes(NoteKind.CHECKPOINT) if last is not None and note.number < last.number]
    for note in reversed(notes):
        try:
            signed = opened(note.body, "an earlier one of the log's own", trust)
            comparable = _compare(log, size, signed)
        except IntegrityError:
            continue
        if comparable and signed.has_say:
            return [signed]
    return []


def opened(note: str, source: str, trust: Trust) -> Signed:
    """Return a checkpoint that a key of this log has signed.

    Raises:
        IntegrityError: it is none, or of another log or key.
    """
    origin = "" if trust.current is None else trust.current.log
    named = note.partition("\n")[0]
    if named != origin:
        raise IntegrityError("this checkpoint is of another log", expected=origin, found=named[:_SHOWN])
    checkpoint, signers = Checkpoint.open(note, trust.note_keys())
    has_say = any(trust.signs_at(key.key.id, checkpoint.size) for key in signers)
    return Signed(checkpoint, note, source, has_say)


def _proves_nothing(error: IntegrityError) -> Check:
    """Make the check for a checkpoint that somebody gave and no key has signed: its file may be wrong, or spoilt."""
    told = f"the checkpoint that was given proves nothing: {error}"
    return Check.open(STEP, _NAME, f"{told} Give the file as it was sent out, of this log")


def _beyond(signed: Signed, *, older: bool) -> Check:
    """Make the check for a checkpoint that a bundle cannot prove anything about.

    Args:
        signed: the checkpoint.
        older: whether it is what was seen last, and the bundle was made before.
    """
    size = counted(signed.checkpoint.size, "event")
    told = f"nothing in the bundle leads from or to the checkpoint of {size} ({signed.source})"
    if older:
        return Check.beside(STEP, _NAME, f"{told}: the bundle was made before")
    return Check.open(
        STEP, _NAME, f"{told}: ask its owner for a bundle that was made since, or verify where the ledger is"
    )


def _compare(log: EventLog, size: int, signed: Signed) -> bool:
    """See that the log has all of a checkpoint; return whether that can be told: of a bundle it may not.

    Raises:
        IntegrityError: it has not.
    """
    wanted = signed.checkpoint
    if isinstance(log, BundleLog):
        return log.compare(wanted)
    if wanted.size > size:
        raise IntegrityError(
            "the log's end was cut off", expected=f"{counted(wanted.size, 'event')} or more", found=str(size)
        )
    found = root_of(wanted.size, log.nodes)
    if found != wanted.root:
        raise IntegrityError(
            f"the first {wanted.size} events are not what they were", expected=wanted.root.hex(), found=found.hex()
        )
    return True


def _altered(told: str) -> Check:
    return Check.failed(STEP, _NAME, told, Conclusion.ALTERED)
