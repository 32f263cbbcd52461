"""The words for how a run, and a cell of it, ended (law 2)."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CellStatus", "Status"]


class Status(StrEnum):
    """How a run ended. One per run, for ever."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    KERNEL_DIED = "kernel_died"
    EXITED_EARLY = "exited_early"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    CACHED = "cached"

    @property
    def good(self) -> bool:
        """Whether results of such a run may be used."""
        return self in (Status.SUCCEEDED, Status.CACHED)


class CellStatus(StrEnum):
    """How a code cell ended."""

    OK = "ok"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not_run"
    SKIPPED = "skipped"
