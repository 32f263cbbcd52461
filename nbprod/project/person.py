"""The key with which a person signs what he says in a project's log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbprod.attest.bundle import to_lines
from nbprod.attest.dsse import IN_TOTO, sign
from nbprod.attest.keyfile import Role
from nbprod.attest.keyring import DEVELOPMENT, HeldKey, Keyring, read_key
from nbprod.attest.keys import PrivateKey
from nbprod.digest import Digest
from nbprod.errors import CallerError, EnvironmentFault, NotFound
from nbprod.project.keys import ensure_keys, own_keys
from nbprod.project.project import Project
from nbprod.store import Store
from nbprod.verify.trust import Trust, read_trust

__all__ = ["Person", "needed_person", "person_of"]

_VARIABLE = "NBPROD_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may sign.

    Args:
        key: the private key.
        label: what it is called.
        role: the role in which it signs.
        log: the log's name; empty where it has none yet.
        store: takes the envelopes.
    """

    key: PrivateKey
    label: str
    role: Role
    log: str
    store: Store

    @property
    def development(self) -> bool:
        """Whether it is a development key, which vouches for nobody."""
        return self.label.startswith(DEVELOPMENT)

    def __str__(self) -> str:
        """Return the key's beginning, and what it is called."""
        return f"{self.key.public.id[:8]} ({self.label})"

    def sign(self, statement: bytes) -> Digest:
        """Sign a statement, and keep the envelope; return its digest.

        Raises:
            StoreUnavailable: it cannot be kept.
        """
        return self.store.put(to_lines([sign(statement, IN_TOTO, self.key)]))


def person_of(project: Project, *roles: Role) -> Person | None:
    """Return the key of one's own that may sign in one of the roles now; None where there is none.

    Where the log has no list of keys, that is one's key for the role, or else the development key.

    Raises:
        CallerError: the key that NBPROD_KEY names may not.
        EnvironmentFault: that key cannot be read.
    """
    named = project.environ.get(_VARIABLE)
    if named:
        return _named(project, Path(named).expanduser(), roles)
    if project.keys is None:
        return None
    with suppress(EnvironmentFault):  # `nbprod doctor` tells why
        return _own(project, read_trust(project.home.ledger.log), roles)
    return None


def needed_person(project: Project, *roles: Role, file: Path | None = None) -> Person:
    """Return the key that may sign in one of the roles now; the log's list of keys is begun if it has none.

    Args:
        project: whose log.
        roles: of which one is enough.
        file: the private key; None: that of NBPROD_KEY, or of one's own folder.

    Raises:
        CallerError: there is none, or it may not.
        EnvironmentFault: it cannot be read or made.
    """
    trust = ensure_keys(project) if project.keys is not None else read_trust(project.home.ledger.log)
    if file is None and (named := project.environ.get(_VARIABLE)):
        file = Path(named).expanduser()
    if file is not None:
        return _named(project, file, roles)
    found = None if project.keys is None else _own(project, trust, roles)
    if found is not None:
        return found
    role = roles[0]
    mine = ", ".join(f"{name}.pem" for name, _ in own_keys(project).values()) or "no key"
    raise CallerError(
        f"no key of yours may sign as {' or '.join(roles)} in this log",
        expected=f"a key that the log's list names for it: {', '.join(roles)}",
        found=f"{mine} in {project.keys or 'no folder'}",
        hint=f"Make one with `nbprod keys new {role}`, and ask who holds the root key for "
        f"`nbprod keys add {role} --public FILE`; if that is you, `nbprod keys add {role}` does both",
    )


def _named(project: Project, file: Path, roles: Sequence[Role]) -> Person:
    held = read_key(file)
    if held is None:
        raise NotFound(f"there is no key {file}", expected="a private key in PEM")
    trust = read_trust(project.home.ledger.log)
    found = _allowed(project, trust, [held], roles)
    if found is None:
        raise CallerError(
            f"the key {held.key.public.id[:16]} may not sign as {' or '.join(roles)} in this log",
            expected="a key that the log's list names for it",
            found=f"{file}",
            hint=f"Ask who holds the root key for `nbprod keys add {roles[0]} --public FILE`",
        )
    return found


def _own(project: Project, trust: Trust, roles: Sequence[Role]) -> Person | None:
    assert project.keys is not None  # noqa: S101 - asked before
    ring = Keyring(project.keys)
    mine = [held for role in roles if (held := ring.find(role)) is not None]
    if trust.current is None:
        return _person(project, trust, mine[0] if mine else ring.development(), roles[0])
    tried = ring.find(DEVELOPMENT)
    return _allowed(project, trust, mine if tried is None else [*mine, tried], roles)


def _allowed(project: Project, trust: Trust, keys: Sequence[HeldKey], roles: Sequence[Role]) -> Person | None:
    if trust.current is None:
        return _person(project, trust, keys[0], roles[0])
    place = project.home.ledger.log.sequence()
    for held in keys:
        for role in roles:
            if trust.current.covers(role, held.key.public.id, place):
                return _person(project, trust, held, role)
    return None


def _person(project: Project, trust: Trust, held: HeldKey, role: Role) -> Person:
    current = trust.current
    return Person(
        key=held.key,
        label=held.name if current is None else current.keys[held.key.public.id].label,
        role=role,
        log="" if current is None else current.log,
        store=project.home.store,
    )
