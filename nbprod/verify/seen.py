"""What a verifier remembers of a log, in a file of its own: what was there once has to be there for ever."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.attest.strict import read_object
from nbprod.digest import canonical, digest_bytes
from nbprod.errors import CallerError, EnvironmentFault, IntegrityError

__all__ = ["Seen", "seen_path"]

_FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen last.

    Args:
        log: the log's name.
        root: the id of the root key of its list of keys.
        number: the list's.
        checkpoint: the largest checkpoint that was seen to be right, signed; empty: none yet.
    """

    log: str
    root: str
    number: int
    checkpoint: str = ""

    def write(self, path: Path) -> None:
        """Write it in place of what was remembered before, whole or not at all.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        told = {"form": _FORM, "log": self.log, "root": self.root, "number": self.number, "checkpoint": self.checkpoint}
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
        kinds = {"form": int, "log": str, "root": str, "number": int, "checkpoint": str}
        if {name: type(value) for name, value in told.items()} != kinds or told["form"] != _FORM:
            raise IntegrityError("what was seen is in another form", expected=f"form {_FORM}")
        return cls(log=told["log"], root=told["root"], number=told["number"], checkpoint=told["checkpoint"])


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
