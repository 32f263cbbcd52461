"""Secrets inside of files."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import os
import zipfile
import zlib
from pathlib import Path

import pytest

from nbprod.masking import Masker
from nbprod.runner.inside import secrets_inside

SECRET = "hunter2-correct-horse-battery"
MASKER = Masker({"PASSWORD": SECRET, "OTHER": "something-else-entirely"})
STEP = 1 << 20


def in_zip(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first.npy", b"0" * 1000)
        archive.writestr("second.npy", data)


WRITERS = {
    "plain": Path.write_bytes,
    "UTF-16": lambda path, data: path.write_bytes(data.decode().encode("utf-16")),
    "base64": lambda path, data: path.write_bytes(base64.b64encode(b"x" + data)),
    "base64 in lines": lambda path, data: path.write_bytes(base64.encodebytes(b"xx" + data)),
    "gzip": lambda path, data: path.write_bytes(gzip.compress(data)),
    "bzip2": lambda path, data: path.write_bytes(bz2.compress(data)),
    "xz": lambda path, data: path.write_bytes(lzma.compress(data, preset=0)),
    "zlib": lambda path, data: path.write_bytes(zlib.compress(data)),
    "zip": in_zip,
}


@pytest.mark.parametrize("before", [0, 100, STEP - 5, STEP, 3 * STEP - len(SECRET) // 2])
@pytest.mark.parametrize("written", WRITERS)
def test_a_secret_is_found_wherever_it_stands(tmp_path: Path, written: str, before: int) -> None:
    path = tmp_path / "file"
    WRITERS[written](path, b"." * before + SECRET.encode() + b"." * 10)
    assert secrets_inside(path, MASKER) == {"PASSWORD"}
    WRITERS[written](path, b"." * before + SECRET[:-1].encode() + b"." * 10)
    assert secrets_inside(path, MASKER) == set()


def test_the_name_of_a_member_is_looked_at(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.zip", "w") as archive:
        archive.writestr(f"{SECRET}.txt", b"x")
    assert secrets_inside(tmp_path / "file.zip", MASKER) == {"PASSWORD"}


def test_damaged_archives_are_looked_through_as_far_as_they_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(SECRET.encode())[:20])
    assert secrets_inside(path, MASKER) == set()
    path.write_bytes(gzip.compress(SECRET.encode() + os.urandom(3 * STEP))[: 2 * STEP])
    assert secrets_inside(path, MASKER) == {"PASSWORD"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("damaged", b"0" * 1000)
        archive.writestr("good", SECRET)
    data = bytearray(path.read_bytes())
    data[40] ^= 0xFF
    path.write_bytes(bytes(data))
    assert secrets_inside(path, MASKER) == {"PASSWORD"}


def test_what_is_packed_twice_hides_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(gzip.compress(SECRET.encode())))
    assert secrets_inside(tmp_path / "file", MASKER) == set()  # as docs/how-to/secrets.md says


def test_a_pipe_in_a_files_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    assert secrets_inside(tmp_path / "file", MASKER) == set()
