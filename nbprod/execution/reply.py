"""What a kernel replied to a cell, and how the cell ended by it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from nbprod.execution.driven import Stop
from nbprod.execution.plan import PlannedCell
from nbprod.kernels.wire import Message
from nbprod.record.status import CellStatus, Status
from nbprod.record.verdict import CellError

__all__ = ["Reply", "judge", "name_of"]


_LONGEST = 500
"""Characters of an exception's text that the verdict keeps; the whole of it stands in the cell's output."""


def _short(text: object) -> str:
    full = str(text)
    return full if len(full) <= _LONGEST else full[:_LONGEST] + "…"


@dataclass(slots=True)
class Reply:
    """What is known of the request under way."""

    message: Message | None = None
    idle: bool = False
    error: CellError | None = None
    count: int | None = None
    asked_exit: bool = False

    @property
    def ok(self) -> bool:
        """Whether the kernel says that the cell ended well."""
        return self.message is not None and self.message.content.get("status") == "ok"

    def give_up(self, message: Message) -> None:
        """Take the word that no reply will come."""
        self.message = dataclasses.replace(message, content={"status": "error"})
        self.error = CellError(name="NoReply", message="the kernel was done with the cell and said nothing of how")

    def take(self, message: Message) -> None:
        """Take the kernel's reply."""
        content = message.content
        self.message = message
        self.count = content.get("execution_count", self.count)
        if content.get("status") == "error":
            self.error = CellError(name=_short(content.get("ename")), message=_short(content.get("evalue")))
        elif content.get("status") == "aborted":
            self.error = CellError(name="aborted", message="the kernel did not run the cell")
        payloads = content.get("payload") or ()
        self.asked_exit = any(item.get("source") == "ask_exit" for item in payloads if isinstance(item, dict))


def judge(cell: PlannedCell, reply: Reply, stop: Stop | None, ending: Stop | None) -> tuple[CellStatus, Stop | None]:
    """Say how a cell ended, and whether the run ends with it.

    Args:
        cell: which.
        reply: what is known of it.
        stop: why the kernel is gone, None if it is there.
        ending: why the cell was interrupted, None if it was not.
    """
    if stop is not None:  # the kernel died, or was killed after its grace
        return (CellStatus.FAILED if stop.status is Status.KERNEL_DIED else CellStatus.INTERRUPTED), stop
    if ending is not None:
        return CellStatus.INTERRUPTED, ending
    if reply.ok:
        exited = Stop(Status.EXITED_EARLY, f"{name_of(cell.cell)} called exit()")
        return CellStatus.OK, (exited if reply.asked_exit else None)
    return _judge_error(cell, reply.error or CellError(name="unknown", message="the kernel gave no reason"))


def _judge_error(cell: PlannedCell, error: CellError) -> tuple[CellStatus, Stop | None]:
    where = name_of(cell.cell)
    if error.name == "SystemExit":
        if error.message in ("", "0", "None"):
            return CellStatus.FAILED, Stop(Status.EXITED_EARLY, f"{where} called sys.exit({error.message})")
        return CellStatus.FAILED, Stop(Status.FAILED, f"{where} called sys.exit({error.message})")
    if cell.may_raise:
        return CellStatus.OK, None
    detail = ": ".join(part for part in (error.name, *error.message.strip().splitlines()[:1]) if part)
    return CellStatus.FAILED, Stop(Status.FAILED, f"{where} raised {detail}" if detail else f"{where} failed")


def name_of(cell: int | None) -> str:
    """Return how messages call a cell, by its index in the source notebook."""
    return "the injected parameters" if cell is None else f"cell {cell}"
