"""Checkpoints sent to a git repository: each a commit, nothing forced, nothing that the log does not continue."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nbprod.errors import CallerError, EnvironmentFault, IntegrityError
from nbprod.project.checkpoint import send
from nbprod.project.labels import tag_run
from nbprod.project.outside import opened
from nbprod.record.ids import RunId

from .conftest import Base, Place
from .test_attacks import cut_the_tail


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=n@localhost", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "audit.git"
    folder.mkdir()
    git(folder, "init", "--bare", "--quiet", "--initial-branch", "main")
    return folder


def test_each_checkpoint_is_a_commit(base: Base, place: Place, repository: Path) -> None:
    url = f"git+file://{repository}@log#kept/here.txt"
    first = send(place.project, url)
    assert git(repository, "show", "log:kept/here.txt") == first.note
    assert send(place.project, url).note == first.note  # nothing was added: no commit
    assert git(repository, "rev-list", "--count", "log") == "1\n"
    tag_run(place.project.home.ledger, RunId(base.runs["good"]), ["more"])
    second = send(place.project, url)
    assert second.checkpoint.size > first.checkpoint.size
    assert git(repository, "show", "log:kept/here.txt") == second.note
    assert f"Checkpoint of {second.checkpoint.size} events" in git(repository, "log", "-1", "--format=%s", "log")
    assert place.verify(base.runs["good"], given=[git(repository, "show", "log~1:kept/here.txt")])


def test_the_default_branch_and_file(place: Place, repository: Path) -> None:
    made = send(place.project, f"git+file://{repository}")
    assert git(repository, "show", "HEAD:nbprod-checkpoint.txt") == made.note


def test_a_new_branch_beside_others_holds_nothing_of_theirs(place: Place, repository: Path) -> None:
    made = send(place.project, f"git+file://{repository}")
    assert send(place.project, f"git+file://{repository}@refs/heads/audit").note == made.note
    assert git(repository, "show", "audit:nbprod-checkpoint.txt") == made.note
    assert git(repository, "branch", "--format=%(refname)") == "refs/heads/audit\nrefs/heads/main\n"
    assert git(repository, "rev-list", "--count", "audit") == "1\n"


def test_attributes_and_settings_of_the_repository_change_no_byte(
    base: Base, place: Place, repository: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", str(repository), "work")
    (tmp_path / "work" / ".gitattributes").write_text("* text eol=crlf\n")
    (tmp_path / "work" / "other.txt").write_text("stays\n")
    for words in (["add", "."], ["commit", "--quiet", "-m", "first"], ["push", "--quiet", "origin", "HEAD"]):
        git(tmp_path / "work", *words)
    for _ in range(2):
        made = send(place.project, f"git+file://{repository}")
        assert git(repository, "show", "HEAD:nbprod-checkpoint.txt") == made.note
        tag_run(place.project.home.ledger, RunId(base.runs["good"]), ["more"])
    assert git(repository, "show", "HEAD:other.txt") == "stays\n"


def test_notes_of_several_logs_share_a_branch(place: Place, repository: Path) -> None:
    """Who comes second at the same moment commits anew, on top of the other."""
    with (
        opened(f"git+file://{repository}#a.txt", place.project.environ) as mine,
        opened(f"git+file://{repository}#b.txt", place.project.environ) as theirs,
    ):
        theirs.write(b"theirs", "first")
        mine.write(b"mine", "second")
    assert [git(repository, "show", f"main:{name}.txt") for name in "ab"] == ["mine", "theirs"]
    assert git(repository, "log", "--format=%s", "main") == "second\nfirst\n"


def test_git_s_own_settings_hold_and_the_caller_s_hooks_do_not(place: Place, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    for hook in ("pre-push", "commit-msg", "post-index-change"):
        (tmp_path / "hooks" / hook).write_text(f"#!/bin/sh\necho {hook} >> {tmp_path}/ran\nexit 1\n")
        (tmp_path / "hooks" / hook).chmod(0o755)
    (tmp_path / "config").write_text(
        f"[core]\nhooksPath={tmp_path}/hooks\n[commit]\ngpgSign=true\n[user]\nname=Ada\nemail=ada@example.com\n"
    )
    environ = {**place.project.environ, "GIT_CONFIG_GLOBAL": str(tmp_path / "config"), "GIT_DIR": str(tmp_path)}
    with opened(f"git+file://{repository}", environ) as outside:
        outside.write(b"x", "told")
    assert git(repository, "log", "-1", "--format=%an %ae") == "Ada ada@example.com\n"
    assert not (tmp_path / "ran").exists()


def test_what_the_log_does_not_continue_is_left(base: Base, place: Place, repository: Path) -> None:
    url = f"git+file://{repository}"
    sent = send(place.project, url).note
    cut_the_tail(place, base)
    with pytest.raises(IntegrityError):
        send(place.project, url)
    assert git(repository, "show", "HEAD:nbprod-checkpoint.txt") == sent


def test_nothing_is_forced(place: Place, repository: Path) -> None:
    with opened(f"git+file://{repository}", place.project.environ) as mine:
        assert mine.read() is None
        with opened(f"git+file://{repository}", place.project.environ) as theirs:
            theirs.write(b"theirs", "first")
        with pytest.raises(EnvironmentFault, match="somebody else pushed") as caught:
            mine.write(b"mine", "second")
    assert "try again" in str(caught.value)
    assert git(repository, "show", "HEAD:nbprod-checkpoint.txt") == "theirs"


def test_a_link_that_leads_out_is_not_followed(place: Place, repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(repository), "work")
    (tmp_path / "work" / "nbprod-checkpoint.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("x")
    git(tmp_path / "work", "add", ".")
    git(tmp_path / "work", "commit", "--quiet", "-m", "a link")
    git(tmp_path / "work", "push", "--quiet", "origin", "HEAD")
    with pytest.raises(CallerError, match="is no file"):
        send(place.project, f"git+file://{repository}")
    assert (tmp_path / "secret").read_text() == "x"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", ".git/config"])
def test_a_file_outside_the_repository_is_refused(place: Place, repository: Path, name: str) -> None:
    with pytest.raises(CallerError, match="no place in a git repository"):
        send(place.project, f"git+file://{repository}#{name}")


@pytest.mark.parametrize(
    "url",
    [
        "git+",
        "git+ftp://host/x.git",
        "git+https://host",
        "git+file:///x.git@-x",
        "git+http://[::1/x.git",
        "git+file:///x@a..b",
    ],
)
def test_what_is_no_address_of_a_repository_is_refused(place: Place, url: str) -> None:
    with pytest.raises(CallerError, match="no place in a git repository"):
        send(place.project, url)


def test_a_repository_that_is_not_there(place: Place, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"git ls-remote failed, with file:///"):
        send(place.project, f"git+file://{tmp_path}/none.git")
    with pytest.raises(EnvironmentFault) as caught:
        send(place.project, f"git+https://me:word@localhost:1{tmp_path}/none.git")
    assert "word" not in str(caught.value)
    with pytest.raises(CallerError, match="is no address"):
        send(place.project, "http://me:word@[::1/x.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CallerError, match="is no file"):
        send(place.project, str(tmp_path / "folder"))
