"""Recorded paths lead nowhere but below the tree in which a run is executed again, whoever wrote the record."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import IntegrityError
from nbprod.reproduce.needs import is_inside
from nbprod.reproduce.tree import below

PARTS = st.sampled_from(["..", ".", "a", "b", "", "link"])


@given(st.lists(PARTS, min_size=1, max_size=8).map("/".join))
def test_what_counts_as_inside_stays_inside(text: str) -> None:
    if is_inside(text):
        assert (Path("/tree") / text).resolve().is_relative_to("/tree")


@pytest.mark.parametrize("text", ["..", "../x", "x/../../y", "a/b/../../../c", "/etc/passwd", "link/x"])
def test_what_leads_out_is_refused(tmp_path: Path, text: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(tmp_path)
    with pytest.raises(IntegrityError, match="leads out of the project"):
        below(tree, text)
    assert below(tree, "a/b") == tree / "a" / "b"  # control
