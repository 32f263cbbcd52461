"""Private keys in files: one folder, which nobody else may read, outside every project's store.

The only module here with input and output. `ROLE.pem` signs for a role; where there is none, `development.pem` does,
which is made when it is first needed and vouches for nobody.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbprod.attest.keys import PrivateKey
from nbprod.errors import CallerError, EnvironmentFault

__all__ = ["DEVELOPMENT", "OFF", "ROOT", "HeldKey", "Keyring", "key_folder", "read_key"]

DEVELOPMENT = "development"
ROOT = "root"
OFF = "off"
"""The setting that asks for no signatures."""

_ENDING = ".pem"
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS = 0o077


def key_folder(setting: str | None, environ: Mapping[str, str], root: Path) -> Path | None:
    """Return the folder of the keys; None where nothing is to be signed, or there is no home to keep keys in.

    Args:
        setting: a folder, relative to the project's root, or `off`; None: the user's own.
        environ: the environment, for the user's folders.
        root: the project's root.
    """
    if setting is not None:
        return None if setting == OFF else root / Path(setting).expanduser()
    if named := environ.get("XDG_CONFIG_HOME"):
        return Path(named) / "nbprod" / "keys"
    if not (home := environ.get("HOME")):
        return None
    config = Path(home, "Library", "Application Support") if sys.platform == "darwin" else Path(home, ".config")
    return config / "nbprod" / "keys"


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A private key of the folder.

    Args:
        name: its file's name without the ending: a role, `development`, or `ROLE-ID` of one that was put aside.
        key: the key.
    """

    name: str
    key: PrivateKey


def read_key(path: Path) -> HeldKey | None:
    """Return the private key in a file; None if there is none.

    Raises:
        EnvironmentFault: it cannot be read, or others may read it.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from error
    if stat.S_IMODE(mode) & _OTHERS:
        raise _unusable(path, f"mode {stat.S_IMODE(mode):04o}: others may read it")
    try:
        return HeldKey(path.stem, PrivateKey.from_pem(data))
    except CallerError as error:
        raise _unusable(path, error.what) from error


@dataclass(frozen=True, slots=True)
class Keyring:
    """A folder of private keys.

    Args:
        folder: may not be there yet.
    """

    folder: Path

    def signer(self, role: str) -> HeldKey:
        """Return the key that signs for a role, or else the development key, which is made if need be.

        Raises:
            EnvironmentFault: it cannot be read or made, or others may read it.
        """
        return self.find(role) or self.development()

    def development(self) -> HeldKey:
        """Return the development key, made if need be (raises as `signer`)."""
        return self.find(DEVELOPMENT) or self._made(DEVELOPMENT)

    def find(self, name: str) -> HeldKey | None:
        """Return the key under a name; None if there is none.

        Raises:
            EnvironmentFault: it cannot be read, or others may read it.
        """
        return read_key(self._path(name))

    def make(self, name: str) -> HeldKey:
        """Make a key under a name that is not taken.

        Raises:
            CallerError: there is one.
            EnvironmentFault: it cannot be written.
        """
        if self._path(name).exists():
            raise CallerError(f"there is a key {name} already", found=str(self._path(name)))
        return self._made(name)

    def replace(self, name: str) -> tuple[HeldKey | None, HeldKey]:
        """Put a key aside, if there is one, and make another in its place; return both.

        Raises:
            EnvironmentFault: they cannot be read or written.
        """
        before = self.find(name)
        if before is not None:
            self.put_aside(before)
        return before, self._made(name)

    def put_aside(self, held: HeldKey) -> None:
        """Let a key sign no more: it stays in the folder, under a name with its id.

        Raises:
            EnvironmentFault: it cannot be renamed.
        """
        path = self._path(held.name)
        try:
            path.rename(self._path(f"{held.name}-{held.key.public.id[:16]}"))
        except OSError as error:
            raise _unusable(path, str(error.strerror)) from error

    def all(self) -> Iterator[HeldKey]:
        """Yield every key of the folder, by name (raises as `find`)."""
        try:
            names = sorted(path.stem for path in self.folder.iterdir() if path.suffix == _ENDING)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable(self.folder, str(error.strerror)) from error
        for name in names:
            if (held := self.find(name)) is not None:
                yield held

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{_ENDING}"

    def _made(self, name: str) -> HeldKey:
        """Make a key; where another process was faster, the key is that one's."""
        path, made = self._path(name), PrivateKey.new()
        partial = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
            if stat.S_IMODE(self.folder.stat().st_mode) & _OTHERS:
                self.folder.chmod(_FOLDER_MODE)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as stream:
                stream.write(made.to_pem())
                stream.flush()
                os.fsync(stream.fileno())
            if _placed(partial, path):
                return HeldKey(name, made)
        except OSError as error:
            raise _unusable(path, str(error.strerror)) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
        found = self.find(name)
        assert found is not None  # noqa: S101 - it was there a moment ago
        return found


def _placed(partial: Path, path: Path) -> bool:
    """Give a file its name, whole or not at all, and never in the place of another; say whether it was the first."""
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        return False
    except OSError:  # a file system without links: two who come at the same moment may not see each other
        if path.exists():
            return False
        partial.rename(path)
    return True


def _unusable(path: Path, found: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the key {path} cannot be used",
        expected="a file that its owner alone may read, in a folder that may be written",
        found=found,
        hint="Mend the rights (chmod 600), or name another folder in NBPROD_KEYS",
    )
