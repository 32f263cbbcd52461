"""Lock files beside a project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbprod.digest import digest_bytes
from nbprod.environment.locks import LARGEST, lock_files
from nbprod.record.run_record import LockFile


def test_lock_files_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_bytes(b"version = 1")
    (tmp_path / "requirements.lock").write_bytes(b"a==1")
    (tmp_path / "pyproject.toml").write_bytes(b"")  # says what may be, not what is
    assert lock_files(tmp_path) == (
        LockFile(name="requirements.lock", digest=digest_bytes(b"a==1")),
        LockFile(name="uv.lock", digest=digest_bytes(b"version = 1")),
    )


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    assert lock_files(tmp_path / "nowhere") == ()
    os.mkfifo(tmp_path / "uv.lock")
    (tmp_path / "poetry.lock").mkdir()
    with (tmp_path / "pdm.lock").open("wb") as large:
        large.truncate(LARGEST + 1)
    (tmp_path / "pylock.toml").symlink_to("gone")
    assert lock_files(tmp_path) == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch(mode=0)
    assert lock_files(tmp_path) == ()
