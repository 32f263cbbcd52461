from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import nothing_survives


@pytest.fixture
def mark() -> Iterator[str]:
    """Mark what a test starts; none of it may outlive the test."""
    with nothing_survives() as mark:
        yield mark
