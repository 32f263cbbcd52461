"""Places outside that a checkpoint is sent to: a file, an address that fsspec writes to, a branch in git."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from nbprod.errors import CallerError, EnvironmentFault, NotFound
from nbprod.store.elsewhere import read_url, refuse_unwritable, shown_url, write_url

__all__ = ["Outside", "opened"]

GIT = "git+"
FILE = "nbprod-checkpoint.txt"
"""The file in a git repository, if none is named."""
_COMMANDS = ("clone", "branch", "checkout", "config", "add", "commit", "push")
_TIMEOUT = 300.0
"""Seconds that one git command may take."""


class Outside(Protocol):
    """A place that holds one small file."""

    def read(self) -> bytes | None:
        """Return what is there; None if nothing is.

        Raises:
            CallerError, EnvironmentFault, SettingsError, StoreUnavailable: it cannot be read.
        """

    def write(self, data: bytes, told: str) -> None:
        """Put this there, in the place of what was read.

        Args:
            data: all of it.
            told: one line on it, for places that keep a history.

        Raises:
            EnvironmentFault, SettingsError, StoreUnavailable: it cannot be written.
        """


@contextmanager
def opened(place: str, environ: Mapping[str, str]) -> Iterator[Outside]:
    """Give a place by its name.

    Args:
        place: a path; an address that fsspec writes to, `s3://bucket/key`; or a git repository as pip names them,
            `git+https://host/repository.git@branch#path/in/it` (also `git+ssh://`, `git+file://`).
        environ: the variables that git is started with.

    Raises:
        CallerError, SettingsError, EnvironmentFault: there can be no such place.
    """
    if place.startswith(GIT):
        with tempfile.TemporaryDirectory(prefix="nbprod-git-") as folder:
            yield _Branch.cloned(place, Path(folder), environ)
    elif "://" in place:
        refuse_unwritable(place)
        yield _Address(place)
    else:
        yield _File(Path(place))


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CallerError(
                f"{self._path} cannot be read", expected="a checkpoint, or nothing", found=str(error)
            ) from error

    def write(self, data: bytes, told: str) -> None:  # noqa: ARG002 - a file has no history
        partial = self._path.parent / f".{secrets.token_hex(8)}.part"
        try:
            with partial.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self._path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise EnvironmentFault(f"{self._path} cannot be written", found=str(error.strerror)) from error


class _Address:
    def __init__(self, url: str) -> None:
        self._url = url

    def read(self) -> bytes | None:
        try:
            return read_url(self._url)
        except NotFound:
            return None

    def write(self, data: bytes, told: str) -> None:  # noqa: ARG002 - it may have no history
        write_url(self._url, data)


class _Branch:
    """A file on a branch, in a fresh clone; what is written is committed and pushed, never forced."""

    def __init__(self, url: str, file: Path, clone: Path, environ: Mapping[str, str]) -> None:
        self._url, self._path, self._clone, self._environ = url, file, clone, environ

    @classmethod
    def cloned(cls, place: str, folder: Path, environ: Mapping[str, str]) -> _Branch:
        url, branch, name = _parts(place)
        clone = folder / "clone"
        # No prompt: at night nobody answers. Nothing of the caller's repository: hooks set GIT_DIR.
        kept = {key: value for key, value in environ.items() if not key.startswith("GIT_") or key.startswith("GIT_SSH")}
        found = cls(url, clone / name, clone, {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"})
        found._git(folder, "clone", "--quiet", "--no-tags", "--", url, str(clone))
        if branch is not None:
            known = found._git(clone, "branch", "--list", "--remotes", f"origin/{branch}")
            start = [f"origin/{branch}"] if known.strip() else ["--orphan"]
            arguments = ["-B", branch, *start] if known.strip() else [*start, branch]
            found._git(clone, "checkout", "--quiet", *arguments)
        return found

    def read(self) -> bytes | None:
        inside = self._path.resolve()
        if not inside.is_relative_to(self._clone.resolve()):
            raise CallerError(f"{self._path.name} of {shown_url(self._url)} is a link that leads out of the repository")
        return _File(self._path).read()

    def write(self, data: bytes, told: str) -> None:
        if self.read() == data:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_bytes(data)
        name = str(self._path.relative_to(self._clone))
        self._git(self._clone, "add", "--force", "--", name)
        self._git(self._clone, *self._author(), "commit", "--quiet", "--no-verify", "-m", told, "--", name)
        self._git(self._clone, "push", "--quiet", "origin", "HEAD")

    def _author(self) -> list[str]:
        """Return options that name an author, where git knows none."""
        try:
            self._git(self._clone, "config", "user.email")
        except EnvironmentFault:
            return ["-c", "user.name=nbprod", "-c", "user.email=nbprod@localhost"]
        return []

    def _git(self, folder: Path, *arguments: str) -> str:
        what = next(
            word for word in arguments if word in ("clone", "branch", "checkout", "config", "add", "commit", "push")
        )
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=folder,
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_TIMEOUT,
            )
        except OSError as error:
            raise EnvironmentFault(f"git cannot {what}", expected="git on the PATH", found=str(error)) from error
        except subprocess.TimeoutExpired:  # its text has the address, with a password perhaps
            told = f"git {what} of {shown_url(self._url)} was given up"
            raise EnvironmentFault(told, expected="an end", found=f"none after {_TIMEOUT:.0f} s") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise EnvironmentFault(
                f"git {what} of {shown_url(self._url)} failed",
                found=(said or [f"exit code {done.returncode}"])[-1].replace(self._url, shown_url(self._url)),
                hint="Nothing was forced: if somebody else pushed at the same time, try again"
                if what == "push"
                else "",
            )
        return done.stdout.decode(errors="replace")


def _parts(place: str) -> tuple[str, str | None, str]:
    """Return the URL, the branch and the file's path that a place names.

    Raises:
        CallerError: it names none.
    """
    parts = urlsplit(place.removeprefix(GIT))
    path, _, branch = parts.path.partition("@")
    name = PurePosixPath(parts.fragment or FILE)
    good = parts.scheme in ("https", "http", "ssh", "file", "git") and path.strip("/")
    if not good or name.is_absolute() or ".." in name.parts or ".git" in name.parts or branch.startswith("-"):
        raise CallerError(
            f"{shown_url(place)} names no place in a git repository",
            expected="git+https://HOST/REPOSITORY.git@BRANCH#PATH/IN/IT (branch and path may be left out)",
            found=shown_url(place),
        )
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), branch or None, str(name)
