"""The other driver: nbclient executes the cells, in the same loop of deadlines, cancellations and the keeper's news.

nbclient sends the code and says when a cell is over. All the rest is the same as with our own driver: who waits for
what else may happen, who takes the outputs, and what is told of a cell. See docs/decisions/0023-nbclient-driver.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete, DeadKernelError

from nbprod.execution.driven import Stopped
from nbprod.execution.driver import Driver
from nbprod.execution.plan import Plan, PlannedCell
from nbprod.execution.reply import Reply
from nbprod.kernels.jupyter import JupyterClient
from nbprod.kernels.wire import Message

__all__ = ["NbclientDriver"]

_IDLE = 30
"""Seconds after a reply that nbclient waits for the kernel's `idle`; then that is taken for lost."""


class _Executor(NotebookClient):
    """nbclient without its collecting of outputs: they have been seen, and would be held twice."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> None:  # noqa: ARG002
        """Notice the end of a cell."""
        if msg["msg_type"] == "status" and msg["content"].get("execution_state") == "idle":
            raise CellExecutionComplete


class NbclientDriver(Driver):
    """Drives one kernel through one plan by nbclient (see `Driver`); the client is a JupyterClient."""

    def __init__(self, *, plan: Plan, client: JupyterClient, **others: Any) -> None:
        super().__init__(plan=plan, client=client, **others)
        self._jupyter = client
        self._executor = _Executor(
            nbformat.from_dict(dict(plan.node)),
            timeout=None,
            iopub_timeout=_IDLE,
            allow_errors=True,
            record_timing=False,
        )
        self._executor.kc = client.channels
        client.channels.sent = self._sent

    def _execute(self, cell: PlannedCell, reply: Reply, begun: float) -> None:
        self._jupyter.run(self._attend(cell, reply, begun))

    async def _attend(self, cell: PlannedCell, reply: Reply, begun: float) -> None:
        """Have nbclient execute a cell, and notice what happens meanwhile; raise Stopped when it will not end."""
        cell_until = None if self._deadlines.cell is None else begun + self._deadlines.cell
        news = _News({descriptor: name for descriptor, name in self._watched.items() if descriptor >= 0})
        faults: list[BaseException] = []
        self._jupyter.tap(self._hearing(reply, faults, news.notice))
        code = self._executor.nb.cells[cell.position]
        code.source = cell.source
        executing = asyncio.ensure_future(self._executor.async_execute_cell(code, cell.position))
        executing.add_done_callback(lambda _: news.notice("done"))
        try:
            while True:
                now = time.monotonic()
                self._check_deadlines(now, cell_until)
                self._heed(await news.come(self._patience(now, cell_until)))
                if faults:
                    raise faults[0]
                if not self._keeper.alive:
                    raise Stopped(self._death())
                if executing.done():
                    break
                self._keep_up()
            self._take_end(executing, reply)
        finally:
            news.close()
            self._jupyter.tap(None)
            executing.cancel()
            with contextlib.suppress(asyncio.CancelledError, DeadKernelError):
                await executing

    def _hearing(
        self, reply: Reply, faults: list[BaseException], notice: Callable[[str], None]
    ) -> Callable[[str, Message], None]:
        """Return what takes each message as it comes; what goes wrong in there is not nbclient's to handle."""

        def hear(channel: str, message: Message) -> None:
            try:
                self._take(channel, message, reply)
            except BaseException as error:  # noqa: BLE001 - raised again by who attends
                faults.append(error)
                notice("fault")

        return hear

    def _take(self, channel: str, message: Message, reply: Reply) -> None:
        mine = message.parent == self._request
        if channel == "shell":
            if mine:
                reply.take(message)
        elif message.kind == "status":
            reply.idle = reply.idle or (mine and message.content.get("execution_state") == "idle")
        else:
            self._take_said(message, self._request, reply)

    def _take_end(self, executing: asyncio.Future[Any], reply: Reply) -> None:
        executing.result()
        if not reply.idle:
            self._journal.event("note", datetime.now(UTC), text="the kernel's idle message was lost")


class _News:
    """What there is to read besides the kernel's channels.

    Args:
        watched: names by descriptor.
    """

    def __init__(self, watched: dict[int, str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = watched
        self._ready: set[str] = set()
        self._wake = asyncio.Event()
        for descriptor, name in watched.items():
            self._loop.add_reader(descriptor, self.notice, name)

    def notice(self, name: str) -> None:
        """There is something."""
        self._ready.add(name)
        self._wake.set()

    async def come(self, timeout: float) -> set[str]:  # noqa: ASYNC109 - to look up is no time-out
        """Return what there is, after at most `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)
        ready, self._ready = self._ready, set()
        self._wake.clear()
        return ready

    def close(self) -> None:
        """Watch no more."""
        for descriptor in self._watched:
            self._loop.remove_reader(descriptor)
