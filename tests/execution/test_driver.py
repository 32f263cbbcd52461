"""The driver alone, against a kernel that does what it is told: every ending, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.execution import driver
from nbprod.execution.driven import Driven
from nbprod.execution.events import CellFinished, CellStarted, Event
from nbprod.record.status import CellStatus, Status

from .fake_kernel import Drive


def how(driven: Driven) -> list[CellStatus]:
    return [outcome.status for outcome in driven.cells]


def test_cells_run_in_order_and_say_what_they_say(tmp_path: Path) -> None:
    drive = Drive(tmp_path, "say one", "ok", "", "say two")
    driven = drive.run()
    assert driven.stop is None
    assert driven.language_info == {"name": "fake"}
    assert how(driven) == [CellStatus.OK, CellStatus.OK, CellStatus.SKIPPED, CellStatus.OK]
    assert drive.kernel.executed == ["say one", "ok", "say two"]
    assert [drive.said(0), drive.said(3)] == ["one", "two"]
    assert [outcome.execution_count for outcome in driven.cells] == [1, 2, None, 3]
    assert sum(isinstance(event, CellFinished) for event in drive.events) == 3
    assert drive.journal()[0] == "kernel_ready"
    assert drive.journal().count("cell_finished") == 3


def test_nothing_runs_after_an_error(tmp_path: Path) -> None:
    drive = Drive(tmp_path, "error ValueError", "say never")
    driven = drive.run()
    assert driven.stop is not None
    assert (driven.stop.status, driven.stop.reason) == (Status.FAILED, "cell 0 raised ValueError")
    assert how(driven) == [CellStatus.FAILED, CellStatus.NOT_RUN]
    assert drive.kernel.executed == ["error ValueError"]


def test_tags_are_heeded(tmp_path: Path) -> None:
    drive = Drive(tmp_path, "error ValueError", "die", "ok", tags={0: ["raises-exception"], 1: ["skip-execution"]})
    driven = drive.run()
    assert driven.stop is None
    assert how(driven) == [CellStatus.OK, CellStatus.SKIPPED, CellStatus.OK]


def test_an_exit_that_nothing_follows_leaves_nothing_undone(tmp_path: Path) -> None:
    assert Drive(tmp_path, "ok", "exit").run().stop is None
    stop = Drive(tmp_path, "exit", "ok").run().stop
    assert stop is not None
    assert stop.status is Status.EXITED_EARLY


def test_a_death_is_noticed_at_once(tmp_path: Path) -> None:
    driven = Drive(tmp_path, "say before", "die", "ok").run()
    assert driven.stop is not None
    assert (driven.stop.status, driven.stop.reason) == (
        Status.KERNEL_DIED,
        "the kernel's process exited with status 3",
    )
    assert how(driven) == [CellStatus.OK, CellStatus.FAILED, CellStatus.NOT_RUN]


def test_a_deadline_interrupts(tmp_path: Path) -> None:
    drive = Drive(tmp_path, "hang", "ok", cell=0.1)
    driven = drive.run()
    assert driven.stop is not None
    assert (driven.stop.status, driven.stop.reason) == (Status.TIMED_OUT, "cell 0 took longer than 0.1 s")
    assert how(driven) == [CellStatus.INTERRUPTED, CellStatus.NOT_RUN]
    assert not drive.kernel.keeper.killed


def test_who_does_not_heed_the_interrupt_is_killed(tmp_path: Path) -> None:
    drive = Drive(tmp_path, "deaf", run=0.1, grace=0.1)
    driven = drive.run()
    assert driven.stop is not None
    assert driven.stop.status is Status.TIMED_OUT
    assert driven.stop.reason.endswith("the kernel ignored the interrupt and was killed")
    assert drive.kernel.keeper.killed


def test_a_cancellation_interrupts(tmp_path: Path) -> None:
    drive = Drive(tmp_path, "ok", "hang", "ok")

    def cancel(event: Event) -> None:
        if isinstance(event, CellStarted) and event.cell == 1:
            drive.cancel.cancel("by a test")

    driven = drive.run(cancel)
    assert driven.stop is not None
    assert (driven.stop.status, driven.stop.reason) == (Status.CANCELLED, "by a test")
    assert how(driven) == [CellStatus.OK, CellStatus.INTERRUPTED, CellStatus.NOT_RUN]


@pytest.mark.parametrize(("lost", "status"), [("busy", CellStatus.OK), ("silent", CellStatus.FAILED)])
def test_a_lost_message_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str, status: CellStatus
) -> None:
    monkeypatch.setattr(driver, "_LOST", 0.1)
    driven = Drive(tmp_path, lost).run()
    assert how(driven) == [status]
    assert (driven.stop is None) is (status is CellStatus.OK)
