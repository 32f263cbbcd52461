"""The list of a folder's files: what was written comes back, and no name leads out of the folder."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.digest import digest_bytes
from nbprod.errors import IntegrityError
from nbprod.record.folder import FolderEntry, folder_bytes, read_folder

SOME = digest_bytes(b"x")
NAMES = st.lists(
    st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=3,
).map("/".join)


@given(names=st.lists(NAMES, unique=True, max_size=5), size=st.integers(0, 2**53 - 1))
def test_what_was_written_comes_back(names: list[str], size: int) -> None:
    files = [{"name": name, "size": size, "digest": str(SOME)} for name in names]
    told = folder_bytes([*files, {"name": "gone", "kind": "missing"}])
    assert read_folder(told) == (
        *(FolderEntry(name=name, digest=SOME, size=size) for name in names),
        FolderEntry(name="gone", kind="missing"),
    )


@pytest.mark.parametrize("name", ["..", "../a", "a/../b", "/a", "", "a//b", "a/", ".", 3, None])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: object) -> None:
    with pytest.raises(IntegrityError):
        read_folder(folder_bytes([{"name": name, "size": 1, "digest": str(SOME)}]))


@pytest.mark.parametrize(
    "told", [{}, [], {"version": 2, "entries": []}, {"version": 1}, {"version": 1, "entries": [{"name": "a"}]}, 3]
)
def test_something_else_is_refused(told: object) -> None:
    with pytest.raises(IntegrityError):
        read_folder(json.dumps(told).encode())


@pytest.mark.parametrize("entry", [{"size": -1}, {"size": "1"}, {"size": True}, {"digest": "sha256:1"}, {"digest": 3}])
def test_a_file_without_size_or_digest_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        read_folder(folder_bytes([{"name": "a", "size": 1, "digest": str(SOME), **entry}]))
