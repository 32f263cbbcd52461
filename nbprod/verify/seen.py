"""What a verifier remembers of a log, in a file of its own: what was there once has to be there for ever."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.attest.keyfile import KeyFile
from nbprod.attest.strict import read_object
from nbprod.digest import canonical, digest_bytes
from nbprod.errors import CallerError, EnvironmentFault, IntegrityError

__all__ = ["Seen", "seen_path"]

_FORM = 2
_KINDS: Mapping[str, type] = {
    "form": int,
    "log": str,
    "root": str,
    "number": int,
    "checkpoint": str,
    "keys": str,
    "roots": list,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen last.

    Args:
        log: the log's name.
        root: the id of the root key of its list of keys.
        number: the list's.
        checkpoint: the largest checkpoint that was seen to be right, signed; empty: none yet.
        keys: the list of keys as its root key signed it; empty: nbprod did not remember lists then (form 1).
        roots: the ids of the root keys that led to it, the oldest first.
    """

    log: str
    root: str
    number: int
    checkpoint: str = ""
    keys: str = ""
    roots: tuple[str, ...] = ()

    @property
    def listed(self) -> KeyFile | None:
        """The list of keys; None if it was not remembered."""
        return KeyFile.open(self.keys.encode()) if self.keys else None

    def is_of(self, roots: Sequence[str]) -> bool:
        """Say whether it was seen of a log with these root keys, at a later or an earlier time.

        Args:
            roots: the ids of the root keys of the log's lists, the oldest first; that each leads to the next was seen.
        """
        return self.root in roots or (bool(roots) and roots[-1] in self.roots)

    def write(self, path: Path) -> None:
        """Write it in place of what was remembered before, whole or not at all.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        told = {
            "form": _FORM,
            "log": self.log,
            "root": self.root,
            "number": self.number,
            "checkpoint": self.checkpoint,
            "keys": self.keys,
            "roots": list(self.roots),
        }
        partial = path.parent / f".{secrets.token_hex(8)}.part"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                stream.write(canonical(told))
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise EnvironmentFault(
                f"what was seen cannot be remembered in {path}",
                found=str(error.strerror),
                hint="Name a file: --seen FILE",
            ) from error

    @classmethod
    def read(cls, path: Path) -> Seen | None:
        """Return what is remembered; None if nothing is.

        Raises:
            CallerError: the file is damaged.
        """
        try:
            told = read_object(path.read_bytes(), f"the file {path}")
            return cls._from_json(told)
        except FileNotFoundError:
            return None
        except (IntegrityError, OSError) as error:
            raise CallerError(
                f"what was seen before cannot be read from {path}",
                found=str(error),
                hint="Bring it back from a copy. Without it, nobody can tell whether the log was cut",
            ) from error

    @classmethod
    def _from_json(cls, told: Mapping[str, Any]) -> Seen:
        told = {"keys": "", "roots": [told.get("root")], **told}  # of form 1
        if {name: type(value) for name, value in told.items()} != _KINDS or told["form"] not in (1, _FORM):
            raise IntegrityError("what was seen is in another form", expected=f"form {_FORM}")
        found = cls(**{name: value for name, value in told.items() if name != "form"} | {"roots": tuple(told["roots"])})
        listed = found.listed
        if listed is not None and (listed.log, listed.root, listed.number) != (found.log, found.root, found.number):
            raise IntegrityError("what was seen does not fit together", expected=f"list {found.number} of {found.log}")
        return found


def seen_path(ledger: str, environ: Mapping[str, str]) -> Path | None:
    """Return the user's own file for a ledger; None where there is no home.

    Args:
        ledger: the ledger's address: a log that takes the place of another is noticed.
        environ: the environment.
    """
    if not (state := environ.get("XDG_STATE_HOME")):
        if not (home := environ.get("HOME")):
            return None
        state = f"{home}/.local/state"
    return Path(state) / "nbprod" / "seen" / f"{digest_bytes(ledger.encode()).hex[:32]}.json"
