"""What git says, from real repositories."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nbprod.environment.git import git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "re po"
    (root / "sub").mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "trunk", str(root))
    (root / "a b.txt").write_text("1")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    return root


def test_a_clean_tree(repository: Path) -> None:
    state = git_state(repository / "sub")
    assert state is not None
    assert (state.commit, state.branch, state.dirty) == (git(repository, "rev-parse", "HEAD"), "trunk", False)
    assert state.root == repository
    assert "root" not in state.to_json()


def test_changed_files_are_dirty_untracked_ones_are_not(repository: Path) -> None:
    (repository / "new.txt").write_text("x")
    assert not git_state(repository).dirty
    (repository / "a b.txt").write_text("2")
    assert git_state(repository).dirty
    git(repository, "add", "a b.txt")
    assert git_state(repository).dirty
    git(repository, "commit", "-q", "-m", "two")
    assert not git_state(repository).dirty


def test_detached_and_unborn(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    assert git_state(repository).branch is None
    git(tmp_path, "init", "-q", "-b", "trunk", str(tmp_path / "fresh"))
    state = git_state(tmp_path / "fresh")
    assert (state.commit, state.branch, state.dirty) == (None, "trunk", False)


REMOTES = {
    "https://user:token@example.org/x.git?key=1": "https://example.org/x.git",
    "ssh://git@example.org:22/x.git": "ssh://example.org:22/x.git",
    "git@example.org:x/y.git": "example.org:x/y.git",
    "../x.git": "../x.git",
}


@pytest.mark.parametrize(("url", "told"), REMOTES.items())
def test_remotes_are_told_without_credentials(url: str, told: str, repository: Path) -> None:
    git(repository, "remote", "add", "origin", url)
    assert git_state(repository).remote == told


def test_no_repository_and_no_git(repository: Path, tmp_path: Path) -> None:
    assert git_state(tmp_path / "missing") is None
    assert git_state(repository, {"PATH": str(tmp_path)}) is None


def test_variables_of_a_git_hook_do_not_mislead(repository: Path, tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_DIR": str(tmp_path / "elsewhere")}
    assert git_state(repository, environ).branch == "trunk"
