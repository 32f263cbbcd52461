"""The copies of an executed notebook: there whole, or not at all, however large, and whatever comes between."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.errors import EnvironmentFault
from nbprod.record.ids import RunId
from nbprod.runner.copies import LARGE, Aside, Copies

RUN = RunId("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


@pytest.fixture(params=[10, LARGE], ids=["small", "large"])
def data(request: pytest.FixtureRequest) -> bytes:
    return os.urandom(request.param)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("run", "asked"):
        (tmp_path / name).mkdir()
    return tmp_path / "run" / "n.ipynb", tmp_path / "asked" / "out.ipynb"


def test_both_copies_are_left(places: tuple[Path, Path], data: bytes) -> None:
    own, asked = places
    asked.write_bytes(b"older")
    copies = Copies(own, asked)
    copies.begin(data)
    assert not own.exists()
    assert asked.read_bytes() == b"older", "nobody sees it before the run is closed"
    copies.leave_folder(data)
    copies.leave_output(data, RUN)
    assert own.read_bytes() == asked.read_bytes() == data
    assert own.stat().st_mode & 0o777 == 0o444
    assert [path.name for place in places for path in place.parent.iterdir()] == ["n.ipynb", "out.ipynb"]


def test_nothing_is_left_of_a_run_that_is_not_closed(places: tuple[Path, Path], data: bytes) -> None:
    own, asked = places
    asked.write_bytes(b"older")
    copies = Copies(own, asked)
    copies.begin(data)
    copies.discard()
    assert [*own.parent.iterdir()] == []
    assert [*asked.parent.iterdir()] == [asked]
    assert asked.read_bytes() == b"older"


def gone(asked: Path) -> None:
    asked.parent.rmdir()


def taken(asked: Path) -> None:
    asked.mkdir()


@pytest.mark.parametrize("spoil", [gone, taken])
def test_what_cannot_be_written_is_told(places: tuple[Path, Path], data: bytes, spoil: Callable[[Path], None]) -> None:
    own, asked = places
    spoil(asked)
    copies = Copies(own, asked)
    copies.begin(data)
    copies.leave_folder(data)
    with pytest.raises(EnvironmentFault, match="recorded all the same"):
        copies.leave_output(data, RUN)
    assert own.read_bytes() == data
    assert not asked.parent.exists() or [*asked.parent.iterdir()] == [asked]


def test_the_runs_own_copy_may_fail(places: tuple[Path, Path], data: bytes) -> None:
    own, asked = places
    own.parent.rmdir()
    copies = Copies(own, asked)
    copies.begin(data)
    copies.leave_folder(data)
    copies.leave_output(data, RUN)
    assert asked.read_bytes() == data


def test_what_a_thread_raised_is_raised_where_its_result_is_asked_for() -> None:
    assert Aside(lambda: 3).result() == 3
    with pytest.raises(ZeroDivisionError):
        Aside(lambda: 1 // 0).result()
