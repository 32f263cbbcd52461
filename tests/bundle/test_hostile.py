"""Zip files from somebody who means harm: refused within bounds, by an error that says why."""

from __future__ import annotations

import json
import os
import re
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbprod.bundle import open_bundle
from nbprod.bundle.archive import DEFLATED_MOST, MEMBERS, is_plain
from nbprod.bundle.form import EVENTS, events_bytes, read_events
from nbprod.cli.app import nbprod
from nbprod.errors import BundleInvalid, CallerError
from nbprod.record.ids import RunId
from tests.bundle.conftest import Exported, members_of, pack, with_index
from tests.telling import START

Make = Callable[[Path], None]


def written(*entries: tuple[zipfile.ZipInfo | str, bytes], mode: str = "w") -> Make:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if mode == "deflated" else zipfile.ZIP_STORED) as archive:
            for name, data in entries:
                archive.writestr(name, data)

    return make


def named(name: str, attributes: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x" * len(name))
    info.filename = name
    info.external_attr = attributes << 16
    return info


def patched(make: Make, change: Callable[[bytes], bytes]) -> Make:
    def patch(path: Path) -> None:
        make(path)
        path.write_bytes(change(path.read_bytes()))

    return patch


def end_of(data: bytes, **fields: int) -> bytes:
    names = ("disk", "first", "here", "count", "length", "start", "comment")
    told = dict(zip(names, struct.unpack("<4H2LH", data[-18:]), strict=True)) | fields
    return data[:-18] + struct.pack("<4H2LH", *(told[name] for name in names))


def encrypted(data: bytes) -> bytes:
    return data.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0")


def twice(path: Path) -> None:
    written(("aaaa", b"{}"), ("bbbb", b"{}"))(path)
    path.write_bytes(path.read_bytes().replace(b"bbbb", b"aaaa"))


def with_extra(name: str, extra: bytes) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.extra = extra
    return info


def second_directory(data: bytes) -> bytes:
    """Give it the records of a large file, and with them another directory for whoever goes by those."""
    start, length = data.index(b"PK\1\2"), len(data) - 22 - data.index(b"PK\1\2")
    other = data[start : start + length].replace(b"bundle.json", b"BUNDLE.json")
    at = start + 2 * length
    far = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, length, start + length)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return data[: start + length] + other + far + locator + data[-22:]


ONE = written(("bundle.json", b"{}"))
HOSTILE: dict[str, Make] = {
    "no zip": lambda path: path.write_bytes(b"no zip at all, though long enough to hold an end"),
    "two directories": patched(ONE, second_directory),
    "hidden in an extra field": written((with_extra("bundle.json", b"\x99\x99\2\0ab"), b"{}")),
    "another name in front": patched(ONE, lambda data: data.replace(b"bundle.json", b"BUNDLE.json", 1)),
    "another sum in front": patched(ONE, lambda data: data[:14] + bytes(4) + data[18:]),
    "empty": lambda path: path.write_bytes(b""),
    "bomb": written(("bundle.json", b"\0" * (DEFLATED_MOST + 1)), mode="deflated"),
    "many bombs": patched(
        written(*((f"{n}.txt", b"\0" * 54321) for n in range(65)), mode="deflated"),
        lambda data: data.replace(struct.pack("<L", 54321), struct.pack("<L", DEFLATED_MOST)),
    ),
    "dotdot": written((named("../evil"), b"x")),
    "dotdot inside": written((named("runs/../../evil"), b"x")),
    "absolute": written((named("/etc/passwd"), b"x")),
    "drive": written((named("C:evil"), b"x")),
    "backslash": written((named("a\\..\\b"), b"x")),
    "control character": written((named("a\x1bb"), b"x")),
    "not ascii": written((named("ü"), b"x")),
    "folder": written((named("folder/", 0o040755), b"")),
    "link": written((named("link", 0o120777), b"/etc/passwd")),
    "device": written((named("device", 0o020666), b"")),
    "twice": twice,
    "twice but for case": written(("a", b"1"), ("A", b"2")),
    "encrypted": patched(ONE, encrypted),
    "behind its end": patched(ONE, lambda data: data + b"more"),
    "before its start": patched(ONE, lambda data: b"MZ" + data),
    "many members told": patched(ONE, lambda data: end_of(data, here=65000, count=65000)),
    "huge directory told": patched(ONE, lambda data: end_of(data, length=0x7FFFFFFF)),
    "directory elsewhere": patched(ONE, lambda data: end_of(data, start=0)),
    "parts": patched(ONE, lambda data: end_of(data, disk=1)),
    "comment": patched(ONE, lambda data: end_of(data, comment=4) + b"more"),
    "no index": written(("other.txt", b"x")),
    "index is no JSON": written(("bundle.json", b"{" * 10)),
    "index nested": written(("bundle.json", b"[" * 100_000)),
    "index of nothing": written(("bundle.json", b'{"absent":[],"form":1,"made_by":"x","members":[],"runs":[]}')),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_within_bounds(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "hostile.zip"
    make(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    with pytest.raises(BundleInvalid), open_bundle(path):
        pass
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert sorted(each.name for each in tmp_path.iterdir()) == ["hostile.zip"]


def test_a_huge_directory_is_not_read(tmp_path: Path) -> None:
    """Half a gigabyte of names, as the end of the file truly says: a sparse file, so that the test is quick."""
    path = tmp_path / "huge.zip"
    length = 512 << 20
    with path.open("wb") as stream:
        stream.truncate(length)
        stream.seek(length)
        stream.write(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 60000, 60000, length, 0, 0))
    begun = time.monotonic()
    with pytest.raises(BundleInvalid, match="too many files"), open_bundle(path):
        pass
    assert time.monotonic() - begun < 2
    assert MEMBERS >= 60000


def test_bytes_between_members_are_refused(exported: Exported, tmp_path: Path) -> None:
    good = pack(tmp_path / "good.zip", members_of(exported.path))
    open_bundle(good).close()  # positive control
    data = good.read_bytes()
    count, _, start = struct.unpack("<HLL", data[-12:-2])
    with zipfile.ZipFile(good) as archive:
        last = max(archive.infolist(), key=lambda info: info.header_offset)
    assert count > 1
    gap = data[:start] + b"hidden" + data[start:-6] + struct.pack("<L", start + 6) + data[-2:]
    (tmp_path / "gap.zip").write_bytes(gap)
    with pytest.raises(BundleInvalid, match="gap"), open_bundle(tmp_path / "gap.zip"):
        pass
    assert last.header_offset < start


def test_a_file_that_is_no_zip_file_is_told_what_verify_takes(tmp_path: Path) -> None:
    for name, data, found in (("d.png", b"\x89PNG\r\n" * 99, "no zip file"), ("none", b"", "an empty file")):
        (tmp_path / name).write_bytes(data)
        done = CliRunner().invoke(nbprod, ["verify", str(tmp_path / name)])
        assert done.exit_code == BundleInvalid.exit_code
        assert found in done.output
        assert "takes a bundle, a RUN or a STEP@VERSION" in done.output


DEEP = "[" * 60_000 + "]" * 60_000
PYTHON_S = re.compile(r"object has no|__init__|argument|NoneType|not subscriptable|too large to convert|out of range")
EVENTS_OF_NOBODY: dict[str, Callable[[str], str]] = {
    "no JSON": lambda _: "{",
    "no object": lambda _: "[]",
    "nested": lambda _: DEEP,
    "nested in a value": lambda body: body.replace('"parameters":{', f'"parameters":{{"a":{DEEP},', 1),
    "no kind": lambda body: body.replace('"kind":"RunStarted"', '"kind":7'),
    "a kind of nobody's": lambda body: body.replace('"kind":"RunStarted"', '"kind":"RunSung"'),
    "another version": lambda body: body.replace('"version":1', '"version":[]'),
    "a moment that is none": lambda body: re.sub(r'"at":"[^"]*"', '"at":"99999-01-01"', body),
    "a moment of a list": lambda body: re.sub(r'"at":"[^"]*"', '"at":[1]', body),
    "an id that is none": lambda body: re.sub(r'"run_id":"[^"]*"', '"run_id":{}', body),
    "another run's id": lambda body: re.sub(r'"run_id":"[^"]*"', f'"run_id":"{RunId.new(START, bytes(10))}"', body),
    "no digest": lambda body: re.sub(r'"request_digest":"[^"]*"', '"request_digest":1e400', body),
    "a lease without end": lambda body: re.sub(r'"lease_seconds":[0-9.]+', '"lease_seconds":1e300', body),
    "no user": lambda body: re.sub(r'"user":"[^"]*",?', "", body),
    "half a letter": lambda body: re.sub(r'"step":"[^"]*"', '"step":"\\\\ud800"', body),
}


@pytest.mark.parametrize("change", EVENTS_OF_NOBODY.values(), ids=EVENTS_OF_NOBODY)
def test_events_that_no_form_fits_are_refused(exported: Exported, tmp_path: Path, change: Callable[[str], str]) -> None:
    members = members_of(exported.path)
    first, *others = read_events(members[EVENTS])
    changed = change(first.body.decode())
    assert changed != first.body.decode()
    line = json.dumps({"event": changed, "index": first.index, "proof": None}, separators=(",", ":"))
    forged = members | {EVENTS: line.encode() + b"\n" + events_bytes(tuple(others))}
    path = pack(tmp_path / "forged.zip", with_index(forged))
    for words in (["verify", str(path), "--seen", str(tmp_path / "seen")], ["reproduce", str(path)]):
        done = CliRunner().invoke(nbprod, words, env={"NBPROD_HOME": str(tmp_path / "home")})
        assert done.exit_code in (3, 4), done.output  # 3: another version's
        assert not PYTHON_S.search(done.output), done.output


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing.zip"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(CallerError), open_bundle(path):
        pass


@pytest.mark.parametrize("name", ["a", "runs/x/y.json", "a-b_c.d~2", "runs/a b.txt"])
def test_plain_names(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize(
    "name", ["", "/", "a/", "/a", "a//b", ".", "..", "a/..", "./a", "a.", "a ", "x" * 401, "a:b", "a*"]
)
def test_names_that_are_not_plain(name: str) -> None:
    assert not is_plain(name)
