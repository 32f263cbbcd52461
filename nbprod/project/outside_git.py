"""A file on a branch of a git repository, as a place outside that a checkpoint is sent to.

No file of the repository is ever checked out: what is there is read from git's objects, and what is written is made
one. So neither its attributes, its links nor anybody's hooks have a say.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from nbprod.errors import CallerError, EnvironmentFault
from nbprod.printable import printable
from nbprod.store.elsewhere import shown_url

__all__ = ["PREFIX", "Branch"]

PREFIX = "git+"
"""What the address of a git repository begins with, as pip has it."""
_FILE = "nbprod-checkpoint.txt"
_DEFAULT = "main"
"""The branch of a repository that has none yet."""
_TIMEOUT = 300.0
"""Seconds that one git command may take."""
_TRIES = 3
"""How often a commit is made anew because somebody else's came first."""
_OPTIONS = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "gc.auto=0")
# `git rev-parse --local-env-vars`, but for those that hold settings: they would point at another repository.
_OTHERS = frozenset(
    [
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    ]
)
_TELLING = re.compile(r"fatal:|error:|remote:|! \[")
_OVERTAKEN = re.compile(r"fetch first|non-fast-forward|cannot lock ref|incorrect old value|stale info")


class _Overtaken(Exception):
    """Somebody else pushed at the same time."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What an address names: the repository's URL, a branch (None: its own first one), and a path in it."""

    url: str
    branch: str | None
    path: str


class Branch:
    """A file on a branch; each write is a commit of its own, pushed and never forced.

    Args:
        address: `git+https://host/repository.git@branch#path/in/it` (also `git+ssh://`, `git+file://`); branch and path
            may be left out.
        folder: an empty folder of its own.
        environ: the variables that git is started with. It never asks: it has no terminal.

    Raises:
        CallerError: the address names no place in a repository.
        EnvironmentFault: git is not there, or cannot reach it.
    """

    def __init__(self, address: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._place = _parse(address)
        self._shown = shown_url(self._place.url)
        self._repository = folder / "repository"
        kept = {name: value for name, value in environ.items() if name not in _OTHERS}
        index = {"GIT_INDEX_FILE": str(folder / "index")}
        self._environ = {**kept, **index, "GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}
        self._git("init", "--quiet", "--bare", str(self._repository), cwd=folder)
        if self._place.branch is not None and self._fails("check-ref-format", f"refs/heads/{self._place.branch}"):
            raise _no_place(address)
        self._ref, self._base = self._fetch()

    def read(self) -> bytes | None:
        """Return what is there; None if nothing is.

        Raises:
            CallerError: it is no file.
        """
        found = self._entry()
        return None if found is None else self._run("cat-file", "blob", found)

    def write(self, data: bytes, told: str) -> None:
        """Put this there, in the place of what was read.

        Args:
            data: all of it.
            told: the commit's message.

        Raises:
            EnvironmentFault: it cannot be pushed, or somebody else wrote that file meanwhile.
        """
        before = self._entry()
        new = self._git("hash-object", "-w", "--no-filters", "--stdin", data=data)
        if new == before:
            return
        for left in reversed(range(_TRIES)):
            try:
                self._push(self._commit(new, told))
            except _Overtaken as error:
                self._ref, self._base = self._fetch()
                if left and self._entry() == before:
                    continue
                raise EnvironmentFault(
                    f"git push to {self._shown} failed",
                    found=f"somebody else pushed at the same time: {error}",
                    hint="Nothing was forced; try again",
                ) from error
            return

    def _fetch(self) -> tuple[str, str | None]:
        """Fetch the branch's last commit; return the branch, and that commit: None if there is none yet."""
        wanted = self._place.branch
        listed = self._git(
            "ls-remote", "--symref", self._place.url, "HEAD" if wanted is None else f"refs/heads/{wanted}"
        )
        heads = [line.split("\t") for line in listed.splitlines()]
        if wanted is None:
            own = [first.removeprefix("ref: ") for first, _ in heads if first.startswith("ref: ")]
            ref = own[0] if own else f"refs/heads/{_DEFAULT}"
        else:
            ref = f"refs/heads/{wanted}"
        if not any(name in ("HEAD", ref) for first, name in heads if not first.startswith("ref: ")):
            return ref, None
        self._git("fetch", "--quiet", "--no-tags", "--depth=1", self._place.url, f"+{ref}:refs/heads/base")
        return ref, self._git("rev-parse", "refs/heads/base")

    def _entry(self) -> str | None:
        """Return the object that is at the path."""
        if self._base is None:
            return None
        found = self._git("ls-tree", "-z", "--full-tree", self._base, "--", self._place.path).rstrip("\0")
        if not found:
            return None
        mode, kind, about = found.split(" ", 2)
        if kind != "blob" or not mode.startswith("100"):
            what = "a link" if mode == "120000" else "a folder"
            raise CallerError(f"{self._place.path} of {self._shown} is no file", expected="a file", found=what)
        return about.partition("\t")[0]

    def _commit(self, blob: str, told: str) -> str:
        base = self._base
        self._git("read-tree", "--empty" if base is None else base)
        self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{self._place.path}")
        tree = self._git("write-tree")
        return self._git(*self._author(), "commit-tree", tree, *([] if base is None else ["-p", base]), "-m", told)

    def _author(self) -> list[str]:
        """Return options that name an author, where git knows none."""
        known = "GIT_AUTHOR_EMAIL" in self._environ or not self._fails("config", "user.email")
        return [] if known else ["-c", "user.name=nbprod", "-c", "user.email=nbprod@localhost"]

    def _push(self, commit: str) -> None:
        self._git("push", "--quiet", self._place.url, f"{commit}:{self._ref}")

    def _fails(self, *arguments: str) -> bool:
        return self._done(arguments, b"", self._repository)[0] != 0

    def _git(self, *arguments: str, data: bytes = b"", cwd: Path | None = None) -> str:
        return self._run(*arguments, data=data, cwd=cwd).decode(errors="surrogateescape").removesuffix("\n")

    def _run(self, *arguments: str, data: bytes = b"", cwd: Path | None = None) -> bytes:
        code, out, err = self._done(arguments, data, cwd or self._repository)
        if code == 0:
            return out
        said = printable(err.decode(errors="replace")).replace(self._place.url, self._shown)
        lines = [line.strip() for line in said.splitlines() if _TELLING.search(line)] or said.strip().splitlines()
        if arguments[0] == "push" and _OVERTAKEN.search(said):
            raise _Overtaken(lines[0])
        what = next(word for word in arguments if not word.startswith("-") and "=" not in word)
        raise EnvironmentFault(
            f"git {what} failed, with {self._shown}", found=lines[0] if lines else f"exit code {code}"
        )

    def _done(self, arguments: tuple[str, ...], data: bytes, cwd: Path) -> tuple[int, bytes, bytes]:
        try:
            # In a session of its own it has no terminal, at which git or ssh could ask.
            process = subprocess.Popen(
                ["git", *_OPTIONS, *arguments],
                cwd=cwd,
                env=self._environ,
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise EnvironmentFault("git cannot be started", expected="git on the PATH", found=str(error)) from error
        with process:
            try:
                out, err = process.communicate(data, _TIMEOUT)
            except subprocess.TimeoutExpired:  # its own text has the address, with a password perhaps
                os.killpg(process.pid, signal.SIGKILL)
                told = f"git with {self._shown} was given up"
                raise EnvironmentFault(told, expected="an end", found=f"none after {_TIMEOUT:.0f} s") from None
        return process.returncode, out, err


def _parse(address: str) -> _Place:
    try:
        parts = urlsplit(address.removeprefix(PREFIX))
    except ValueError as error:
        raise _no_place(address) from error
    path, _, branch = parts.path.rpartition("@") if "@" in parts.path else (parts.path, "", "")
    name = PurePosixPath(parts.fragment or _FILE)
    good = parts.scheme in ("https", "http", "ssh", "file", "git") and path.strip("/")
    hidden = any(part.lower() == ".git" for part in name.parts)
    if not good or name.is_absolute() or ".." in name.parts or hidden or not name.parts or branch.startswith("-"):
        raise _no_place(address)
    url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return _Place(url, branch.removeprefix("refs/heads/") or None, str(name))


def _no_place(address: str) -> CallerError:
    return CallerError(
        f"{shown_url(address)} names no place in a git repository",
        expected="git+https://HOST/REPOSITORY.git@BRANCH#PATH/IN/IT (branch and path may be left out)",
        found=shown_url(address),
    )
