"""The state of the git repository that a notebook lies in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from nbprod.digest import Json

__all__ = ["GitState", "git_state"]

_TIMEOUT = 10.0  # seconds; on a network disk `git status` may take minutes, and a run must not wait for it


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """What git says of a working tree.

    Args:
        commit: the full id of HEAD, or None before the first commit.
        branch: its name, or None where HEAD is detached.
        dirty: whether a tracked file, staged or not, differs from HEAD. Untracked files don't count: outputs and
            data lie about in every project, and what a run reads of them is pinned as an input.
        root: the top folder of the working tree.
        remote: the URL of `origin` without user, password and query, or None.
    """

    commit: str | None
    branch: str | None
    dirty: bool
    root: Path
    remote: str | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the form that stands in the record: without the root, which is a path of one machine."""
        return {"commit": self.commit, "branch": self.branch, "dirty": self.dirty, "remote": self.remote}


def git_state(folder: Path, environ: Mapping[str, str] | None = None) -> GitState | None:
    """Return the state of the repository that holds the folder.

    None where there is none, and where git is missing, refuses (a repository of another owner) or takes too long:
    a run does not fail for want of git.

    Args:
        folder: an existing folder.
        environ: the variables that git is started with; the process's own by default.
    """
    # Variables such as GIT_DIR, set within git hooks, would point at another repository.
    kept = {key: value for key, value in (environ or os.environ).items() if not key.startswith("GIT_")}
    variables = {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    root = _top_of(folder)
    if root is None:
        return None
    # At once: starting a process costs more than what either of them does.
    asked = _ask(folder, variables, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no")
    remote = _ask(folder, variables, "config", "--get", "remote.origin.url")
    status, origin = _answer(asked), _answer(remote)
    if status is None:
        return None
    headers = dict(line[2:].split(" ", 1) for line in status.split("\0") if line.startswith("# ") and " " in line[2:])
    commit, branch = headers.get("branch.oid"), headers.get("branch.head")
    return GitState(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        dirty=any(line and not line.startswith("# ") for line in status.split("\0")),
        root=root,
        remote=_without_credentials(origin),
    )


def _top_of(folder: Path) -> Path | None:
    """Return the top folder of the working tree that a folder lies in: the nearest with a `.git`, as git looks."""
    here = Path(os.path.realpath(folder))
    return next((each for each in (here, *here.parents) if (each / ".git").exists()), None)


def _ask(folder: Path, environ: Mapping[str, str], *words: str) -> subprocess.Popen[bytes] | None:
    # A repository's own settings may name a program to run as file system monitor: not on our behalf.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        return subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _answer(process: subprocess.Popen[bytes] | None) -> str | None:
    if process is None:
        return None
    with process:
        try:
            told, _ = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
    return None if process.returncode else os.fsdecode(told)


def _without_credentials(url: str | None) -> str | None:
    if not url or not url.strip():
        return None
    text = url.strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if not parts.netloc:
        # `git@host:path` and plain paths: the part before @ is a login, which may be a token.
        return text if "@" not in text else text.rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
