"""The keys of a project's log: made, given roles, replaced, revoked."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nbprod.attest.keyfile import KeyFile, Named, Role, Term
from nbprod.attest.keyring import DEVELOPMENT, ROOT, HeldKey, Keyring
from nbprod.attest.keys import PublicKey
from nbprod.errors import CallerError
from nbprod.ledger.log import NoteKind
from nbprod.project.project import Project
from nbprod.runner.ports import user_name
from nbprod.verify.trust import Trust, read_trust

__all__ = [
    "Change",
    "add_key",
    "ensure_keys",
    "init_keys",
    "keyring_of",
    "new_key",
    "own_keys",
    "revoke_key",
    "rotate_key",
]

_MADE = (Role.RUNNER, Role.CHECKPOINT)
"""Roles that get a key of their own at once; the others when somebody asks."""

_PEOPLE = (Role.REVIEWER, Role.PROMOTER)
"""Roles of people. A development key has them as long as it also signs runs: so that whoever tries may try all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done.

    Args:
        keys: the list of keys that holds now.
        told: what was done, for people; nothing where there was nothing to do.
    """

    keys: KeyFile
    told: tuple[str, ...] = ()


def keyring_of(project: Project) -> Keyring:
    """Return the folder of private keys.

    Raises:
        CallerError: the project has none.
    """
    if project.keys is None:
        raise CallerError(
            "this project has no folder for keys",
            expected="a home, or a folder in NBPROD_KEYS or in `keys` of [tool.nbprod]",
            found='keys = "off", or no HOME',
        )
    return Keyring(project.keys)


def own_keys(project: Project) -> Mapping[str, tuple[str, PublicKey]]:
    """Return the keys of one's own folder by their ids, with what they are called; nothing where there is no folder."""
    if project.keys is None:
        return {}
    return {held.key.public.id: (held.name, held.key.public) for held in Keyring(project.keys).all()}


def init_keys(project: Project) -> Change:
    """Give a log keys of its own: one for the list itself, one for runs and one for checkpoints, unless it has them.

    What development keys have signed so far stays signed; from now on they sign nothing here.

    Raises:
        CallerError: there is no folder for keys, or the log's list has a root key that is not in it.
        EnvironmentFault: a key cannot be read or made.
    """
    ring, log = keyring_of(project), project.home.ledger.log
    before = {held.key.public.id: held for held in ring.all()}
    size = log.sequence()
    current = read_trust(log).current
    told: list[str] = []
    if current is not None:
        _root_of(ring, current)  # refused before anything is made
    missing = [name for name in (ROOT, *_MADE) if ring.find(name) is None]
    told += [f"made the key {name}: {ring.make(name).key.public.id[:16]}" for name in missing]
    root = _held(ring, ROOT)
    if current is None:
        made = _first(ring, root, size, before)
        told.append(f"began the list of keys of {made.log}, root {made.root[:16]}")
        return _kept(project, ring, None, made, told)
    changed = current
    for role in _MADE:
        changed = _handed_over(ring, changed, role, size)
    for role in _PEOPLE:
        changed = _without_development(changed, role, size)
    if changed.root != root.key.public.id:
        told.append(f"the root key is {root.key.public.id[:16]} from now on")
        changed = _with_root(changed, root.key.public)
    return Change(keys=current) if changed == current else _kept(project, ring, current, changed, told)


def ensure_keys(project: Project) -> Trust:
    """Return whose signatures count in the log; where it has no list of keys yet, begin one with the keys at hand.

    Raises:
        CallerError, EnvironmentFault: there are no keys, and none can be made.
        IntegrityError: the list of keys was changed.
    """
    log = project.home.ledger.log
    trust = read_trust(log)
    if trust.current is not None:
        return trust
    ring = keyring_of(project)
    size = log.sequence()
    root = ring.signer(ROOT)
    made = _first(ring, root, size, {held.key.public.id: held for held in ring.all()})
    return Trust(current=_kept(project, ring, None, made, []).keys)


def add_key(
    project: Project, role: Role, *, public: PublicKey | None = None, label: str | None = None, first: int | None = None
) -> Change:
    """Give a key a role.

    Args:
        project: whose log.
        role: which.
        public: somebody else's key; None: one that is made in the folder, unless it is there.
        label: what it is to be called; None: after user and host where it is one of yours, else by its id.
        first: the first place of the log from which on it has the role; None: from now on.

    Raises:
        CallerError: it has the role already, the list calls it otherwise, or the list's root key is not here.
        EnvironmentFault: a key cannot be read or made.
    """
    ring = keyring_of(project)
    current = _current(project)
    _root_of(ring, current)
    told: list[str] = []
    wanted = label
    if public is None:
        label = label or _label()
        if (held := ring.find(role)) is None:
            held = ring.make(role)
            told.append(f"made the key {role}: {held.key.public.id[:16]}")
        public = held.key.public
    begins = project.home.ledger.log.sequence() if first is None else first
    changed = current.with_key(public, label or f"key {public.id[:8]}", role, first=begins)
    called = changed.keys[public.id].label
    if wanted and called != wanted:
        raise CallerError(
            f"the key {public.id[:16]} is on the list already, under another label, which stays",
            expected=f"{called!r}, or no label",
            found=repr(wanted),
            hint="Leave --label away to give it the role; for another label its holder needs another key",
        )
    told.append(f"{public.id[:16]} may sign as {role} from place {begins} on")
    return _kept(project, ring, current, changed, told)


def new_key(project: Project, role: Role) -> tuple[HeldKey, bool]:
    """Return one's own key for a role, and whether it was made now. It may sign once it is on the log's list.

    Raises:
        CallerError: there is no folder for keys.
        EnvironmentFault: a key cannot be read or made.
    """
    ring = keyring_of(project)
    held = ring.find(role)
    return (ring.make(role), True) if held is None else (held, False)


def rotate_key(project: Project, role: str) -> Change:
    """Replace a key by a new one: what the old one signed before stays signed.

    Args:
        project: whose log.
        role: a role, or `root`.

    Raises:
        CallerError: the list's root key is not here, or the log has no list.
        EnvironmentFault: a key cannot be read or made.
    """
    ring = keyring_of(project)
    current = _current(project)
    signer = _root_of(ring, current)
    before, after = ring.replace(role)
    told = [f"made the key {role}: {after.key.public.id[:16]}"]
    if before is not None:
        told.append(f"put the old one aside: {role}-{before.key.public.id[:16]}.pem signs nothing any more")
    if role == ROOT:
        changed = _with_root(current, after.key.public)
    else:
        size = project.home.ledger.log.sequence()
        changed = _handed_over(ring, current, Role(role), size)
        told.append(f"it may sign as {role} from place {size} on")
    return _kept(project, ring, current, changed, told, signer=signer)


def revoke_key(project: Project, key: str, *, end: int | None = None) -> Change:
    """Take all roles from a key; where it lies in the folder, put it aside.

    Args:
        project: whose log.
        key: the id, or its beginning.
        end: the place of the log from which on its signatures count no more; None: from now on.

    Raises:
        CallerError: no key, or several, begin so; it has no role; it is the root key, or that is not here.
        EnvironmentFault: a key cannot be read.
    """
    ring = keyring_of(project)
    current = _current(project)
    _root_of(ring, current)
    found = [name for name in current.keys if name.startswith(key.lower())]
    if len(found) != 1 or not key:
        told = ", ".join(name[:16] for name in found or current.keys)
        raise CallerError(f"{key!r} names no key of the list", expected="the beginning of one id", found=told)
    ends = project.home.ledger.log.sequence() if end is None else end
    changed = current.without(found[0], end=ends)
    done = [f"{found[0][:16]} signs nothing from place {ends} on"]
    for held in list(ring.all()):
        if held.key.public.id == found[0] and held.name in (*Role, DEVELOPMENT) and current.root != found[0]:
            ring.put_aside(held)
            done.append(f"put {held.name}.pem aside; `nbprod keys rotate {held.name}` makes another")
    return _kept(project, ring, current, changed, done)


def _first(ring: Keyring, root: HeldKey, size: int, before: Mapping[str, HeldKey]) -> KeyFile:
    """Return a log's first list: keys that were there before may have signed from its beginning on."""
    keys = {root.key.public.id: Named(key=root.key.public, label=_named(root))}
    terms: dict[Role, tuple[Term, ...]] = {}
    tried = None if ring.find(Role.RUNNER) else ring.find(DEVELOPMENT)
    for role in (*_MADE, *_PEOPLE):
        signer = ring.signer(role) if role in _MADE else ring.find(role) or tried
        listed: list[Term] = []
        if signer is not None:
            known = signer.key.public.id in before
            listed.append(Term(key_id=signer.key.public.id, first=0 if known or not size else size))
            keys[signer.key.public.id] = Named(key=signer.key.public, label=_named(signer))
        for held in before.values():
            earlier = held.name == DEVELOPMENT or held.name.startswith((f"{role}-", f"{DEVELOPMENT}-"))
            if earlier and held.key.public.id not in [term.key_id for term in listed] and size:
                keys[held.key.public.id] = Named(key=held.key.public, label=_named(held))
                listed.append(Term(key_id=held.key.public.id, first=0, end=size))
        if listed:
            terms[role] = tuple(listed)
    return KeyFile(
        log=f"nbprod.dev/log/{secrets.token_hex(16)}", number=1, root=root.key.public.id, keys=keys, terms=terms
    )


def _handed_over(ring: Keyring, current: KeyFile, role: Role, size: int) -> KeyFile:
    """Let the folder's key for a role be the one that signs; those of the same folder that did so before sign no more.

    Keys of others go on: many machines may run for one log.
    """
    key = _held(ring, role).key.public
    signing = [term.key_id for term in current.terms.get(role, ()) if term.end is None]
    if key.id in signing:
        return current
    changed = current.with_key(key, _label(), role, first=size)
    ours = {held.key.public.id for held in ring.all()}
    for name in signing:
        if name in ours or current.keys[name].label == DEVELOPMENT:
            changed = changed.without(name, end=size, roles=[role])
    return changed


def _without_development(current: KeyFile, role: Role, size: int) -> KeyFile:
    """Let development keys have a role of people no longer."""
    for term in current.terms.get(role, ()):
        if term.end is None and current.keys[term.key_id].label == DEVELOPMENT:
            current = current.without(term.key_id, end=size, roles=[role])
    return current


def _with_root(current: KeyFile, root: PublicKey) -> KeyFile:
    keys = {**current.keys, root.id: Named(key=root, label=f"{ROOT} of {_label()}")}
    return replace(current, number=current.number + 1, root=root.id, keys=keys)


def _kept(
    project: Project,
    ring: Keyring,
    before: KeyFile | None,
    after: KeyFile,
    told: list[str],
    *,
    signer: HeldKey | None = None,
) -> Change:
    """Sign a list and keep it; several changes at once are one."""
    after = replace(after, number=1 if before is None else before.number + 1)
    root = _root_of(ring, after)
    former = [] if before is None or before.root == after.root else [(signer or _root_of(ring, before)).key]
    log = project.home.ledger.log
    known = 0 if before is None else before.number
    if not log.add_note(NoteKind.KEYS, after.sign(root.key, *former).decode(), behind=known):
        raise CallerError(
            "somebody else changed the list of keys at the same time",
            hint="Look at it with `nbprod keys list`, then decide anew",
        )
    return Change(keys=after, told=tuple(told))


def _current(project: Project) -> KeyFile:
    current = read_trust(project.home.ledger.log).current
    if current is None:
        raise CallerError("this log has no list of keys yet", hint="Begin one with `nbprod keys init`")
    return current


def _root_of(ring: Keyring, current: KeyFile) -> HeldKey:
    for held in ring.all():
        if held.key.public.id == current.root:
            return held
    raise CallerError(
        f"the root key of {current.log} is not in {ring.folder}",
        expected=current.root[:16],
        hint="Ask who holds it to make the change, or name the folder in NBPROD_KEYS",
    )


def _held(ring: Keyring, name: str) -> HeldKey:
    held = ring.find(name)
    assert held is not None  # noqa: S101 - made if need be
    return held


def _named(held: HeldKey) -> str:
    if held.name.startswith(DEVELOPMENT):
        return DEVELOPMENT
    return f"{ROOT} of {_label()}" if held.name == ROOT else _label()


def _label() -> str:
    return f"{user_name()}@{socket.gethostname()}"
