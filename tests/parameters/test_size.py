"""Sizes in settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.parameters.size import format_size, setting_size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("64 MiB", 64 << 20),
        ("64MiB", 64 << 20),
        ("1.5 GiB", 3 << 29),
        ("10 kB", 10_000),
        ("0 B", 0),
        (0, 0),
        (1000, 1000),
        ("64", None),
        ("64 mib", None),
        ("-1 B", None),
        (-1, None),
        (True, None),
        (1.0, None),
        ("", None),
        ("1 MiB more", None),
        ("٣ MiB", None),
    ],
)
def test_sizes_are_read(value: object, size: int | None) -> None:
    assert setting_size(value) == size


@given(st.integers(0, 2**50))
def test_what_is_written_is_read(size: int) -> None:
    assert setting_size(format_size(size)) == size
