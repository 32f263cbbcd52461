"""Where a kernel listens: a private folder, and paths that the system takes."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

from nbprod.errors import KernelUnavailable
from nbprod.kernels.connection import Connection, open_connection


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tempfile.mkdtemp(dir="/tmp"))


def longest(connection: Connection) -> int:
    return max(len(os.fsencode(f"{connection.ip}-{port}")) for port in connection.ports.values())


def test_folder_and_file_are_private(short: Path) -> None:
    connection = open_connection("python3", {"XDG_RUNTIME_DIR": str(short)})
    assert connection.folder.parent == short
    assert stat.S_IMODE(connection.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(connection.file.stat().st_mode) == 0o600
    content = json.loads(connection.file.read_text())
    assert content["transport"] == "ipc"
    assert {content[f"{channel}_port"] for channel in ("shell", "iopub", "stdin", "control", "hb")} == {1, 2, 3, 4, 5}
    assert connection.address("shell") == f"ipc://{content['ip']}-{content['shell_port']}"
    assert len(content["key"]) == 32
    connection.close()
    connection.close()
    assert list(short.iterdir()) == []
    short.rmdir()


def test_keys_differ(short: Path) -> None:
    opened = [open_connection("python3", {"XDG_RUNTIME_DIR": str(short)}) for _ in range(5)]
    assert len({connection.key for connection in opened}) == 5
    assert len({connection.folder for connection in opened}) == 5
    for connection in opened:
        connection.close()
    short.rmdir()


def test_a_path_that_is_too_long_falls_back_to_a_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    connection = open_connection("python3", {"XDG_RUNTIME_DIR": str(long)})
    assert connection.transport == "ipc"
    assert connection.folder.parent == Path("/tmp")
    assert longest(connection) <= 107
    assert list(long.iterdir()) == []
    connection.close()


@pytest.mark.parametrize("spare", [0, 1, -1], ids=["107 bytes", "106 bytes", "108 bytes"])
def test_the_limit_is_107_bytes(short: Path, spare: int) -> None:
    # folder + "/nbp-" + 8 random letters + "/k-5"
    name = "é" + "x" * (107 - spare - len(str(short)) - len("/é/nbp-12345678/k-5") - 1)
    (short / name).mkdir()
    connection = open_connection("python3", {"XDG_RUNTIME_DIR": str(short / name)})
    assert (connection.folder.parent == short / name) is (spare >= 0)
    assert longest(connection) <= 107
    connection.close()
    (short / name).rmdir()
    short.rmdir()


def test_a_folder_that_is_not_there_is_passed_over() -> None:
    connection = open_connection("python3", {"XDG_RUNTIME_DIR": "/does/not/exist"})
    assert connection.folder.is_dir()
    connection.close()


def test_no_folder_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(KernelUnavailable, match="XDG_RUNTIME_DIR"):
        open_connection("python3", {})
