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
from typing import Any

import pytest

from nbprod.digest import digest_bytes
from nbprod.masking import Masker
from nbprod.record.trace import Touched, Trace
from nbprod.runner.artifacts import keep_artifacts
from nbprod.runner.inside import secrets_inside
from nbprod.runner.kept import InputKeeper
from nbprod.runner.started import RunFolder, Scope
from nbprod.store.memory import MemoryStore

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


def oddly_named(path: Path, data: bytes) -> None:
    """Write a ZIP archive whose first member says of its name that it is UTF-8, and has another."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\u00e9.txt", data)
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\xe9x"))


def test_an_oddly_named_member_is_a_damage_like_others(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    oddly_named(path, b"x")
    with pytest.raises(UnicodeDecodeError):
        zipfile.ZipFile(path)
    assert secrets_inside(path, MASKER) == set()
    oddly_named(path, SECRET.encode())
    assert secrets_inside(path, MASKER) == {"PASSWORD"}


def test_what_a_member_says_of_its_size_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    in_zip(path, SECRET.encode())
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24  # the size of the first member, in the archive's own list
    assert int.from_bytes(data[at : at + 4], "little") == 1000
    data[at : at + 4] = (2 << 30).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    assert secrets_inside(path, MASKER) == {"PASSWORD"}


def test_whatever_goes_wrong_with_a_file_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(path: Path, *rest: Any) -> frozenset[str]:
        if path.name == "odd":
            raise RecursionError
        return secrets_inside(path, *rest)

    for module in ("inside", "kept"):
        monkeypatch.setattr(f"nbprod.runner.{module}.secrets_inside", looks)
    for name in ("odd", "other"):
        (tmp_path / name).write_bytes(b"x")
    reads = tuple(Touched(path=name, digest=digest_bytes(b"x"), size=1) for name in ("odd", "other"))
    scope = Scope(root=tmp_path, cwd=tmp_path, keep_inputs=9)
    keeper = InputKeeper(scope, RunFolder(tmp_path / "run"), MemoryStore(), MASKER)
    odd, other = keeper.keep(Trace(on=True, reads=reads)).reads
    assert (odd.kept, odd.note) == (False, "not kept: it could not be looked through (RecursionError)")
    assert other.kept
    artifacts, notes = keep_artifacts(tmp_path, MemoryStore(), MASKER)
    assert [each.name for each in artifacts] == ["other"]
    assert notes == ("odd in the output folder was not kept: it could not be looked through (RecursionError)",)


def test_what_is_packed_twice_hides_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(gzip.compress(SECRET.encode())))
    assert secrets_inside(tmp_path / "file", MASKER) == set()  # as docs/how-to/secrets.md says


def test_a_pipe_in_a_files_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    assert secrets_inside(tmp_path / "file", MASKER) == set()
