"""Signing how far a project's log has come, and sending that where its owner cannot change it."""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.attest.checkpoint import Checkpoint
from nbprod.attest.keyfile import Role
from nbprod.errors import CallerError, IntegrityError
from nbprod.ledger.log import NoteKind
from nbprod.merkle import root_of
from nbprod.project.keys import ensure_keys, keyring_of
from nbprod.project.outside import opened
from nbprod.project.project import Project
from nbprod.store.elsewhere import shown_url
from nbprod.verify.outcome import Conclusion, conclude
from nbprod.verify.survey import survey

__all__ = ["Made", "make_checkpoint", "send"]


@dataclass(frozen=True, slots=True)
class Made:
    """A checkpoint.

    Args:
        checkpoint: what it says.
        note: the signed text.
        new: whether it was made now; else nothing had been added since the last one.
    """

    checkpoint: Checkpoint
    note: str
    new: bool


def make_checkpoint(project: Project, *, elsewhere: str | None = None) -> Made:
    """Give places to all events, and sign the log's state, unless nothing was added.

    Args:
        project: whose log.
        elsewhere: a checkpoint that was sent before; it must fit.

    Raises:
        IntegrityError: the log is not what an earlier checkpoint says: nothing is signed that contradicts it.
        CallerError, EnvironmentFault: there is no key that may sign it.
    """
    log = project.home.ledger.log
    size = log.sequence()
    trust = ensure_keys(project)
    found = survey(log, trust, given=[] if elsewhere is None else [elsewhere])
    if conclude(found.checks) is not Conclusion.VERIFIED:
        faults = [check.told for check in found.checks if check.means is not Conclusion.VERIFIED]
        raise IntegrityError(
            "the log is not what was signed of it: no checkpoint was made",
            found="; ".join(faults),
            hint="See `nbprod verify --all`, and keep copies of ledger and checkpoints before anything else",
        )
    last = found.newest
    if last is not None and last.checkpoint.size == size:
        return Made(last.checkpoint, last.note, new=False)
    assert trust.current is not None  # noqa: S101 - there is one by now
    made = Checkpoint(origin=trust.current.log, size=size, root=root_of(size, log.nodes))
    held = keyring_of(project).signer(Role.CHECKPOINT)
    if not trust.signs_at(held.key.public.id, size):
        raise CallerError(
            f"the key {held.name} may not sign checkpoints of {trust.current.log}",
            expected="a key with the role checkpoint in the log's list of keys",
            found=held.key.public.id[:16],
            hint="Give it the role: `nbprod keys add checkpoint`",
        )
    note = made.sign(held.key)
    log.add_note(NoteKind.CHECKPOINT, note)
    return Made(made, note, new=True)


def send(project: Project, place: str) -> Made:
    """Make a checkpoint and write it somewhere outside, in the place of an earlier one that it continues.

    Args:
        project: whose log.
        place: a path, an address, or a branch of a git repository (see `nbprod.project.outside.opened`).

    Raises:
        IntegrityError: the log does not continue what is there: that is left as it is.
        CallerError, EnvironmentFault: it cannot be made, or not be written there.
        SettingsError, StoreUnavailable: the address cannot be read or written.
    """
    with opened(place, project.environ) as outside:
        data = outside.read()
        try:
            before = None if data is None else data.decode()
        except UnicodeDecodeError as error:
            raise CallerError(
                f"what is at {shown_url(place)} is no text", expected="a checkpoint, or nothing", found=str(error)
            ) from error
        made = make_checkpoint(project, elsewhere=before)
        told = f"Checkpoint of {made.checkpoint.size} events of {made.checkpoint.origin}"
        outside.write(made.note.encode(), told)
    return made
