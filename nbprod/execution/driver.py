"""The driver: executes a plan's cells against one kernel and notices everything that happens meanwhile.

One loop waits for all there is to wait for: the kernel's channels, the keeper's news of the process, a cancel
token and the deadlines. So a death is noticed at once, and a deadline holds whatever the cell does.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nbprod.errors import KernelUnavailable
from nbprod.execution.cancel import CancelToken
from nbprod.execution.driven import Deadlines, Driven, Ending, NeverLaunched, Stop, Stopped
from nbprod.execution.events import CellFinished, CellStarted, KernelReady, Listener, StreamText
from nbprod.execution.held import HeldStreams
from nbprod.execution.journal import Journal
from nbprod.execution.outputs import OUTPUT_KINDS, Collector
from nbprod.execution.plan import Plan, PlannedCell
from nbprod.execution.reply import Reply, judge, name_of
from nbprod.execution.supervisor import Keeper
from nbprod.kernels.pipe import PipeClient
from nbprod.kernels.wire import Message
from nbprod.record.launch import Launch
from nbprod.record.status import CellStatus, Status
from nbprod.record.verdict import CellOutcome

if TYPE_CHECKING:
    from nbprod.kernels.client import KernelClient  # ZeroMQ is slow to import, and a forked kernel has none

__all__ = ["Driver"]

_TICK = 1.0
"""Seconds after which the loop looks up even if nothing happens: to bring the journal to disk."""
_LAST_WORDS = 0.2
"""Seconds of silence after a death before the outputs under way count as all there are."""
_LOST = 5.0
"""Seconds of silence after a reply, or after `idle`, before the kernel is asked whether the other one got lost."""


class Driver:
    """Drives one kernel through one plan.

    Args:
        plan: what to execute.
        client: the kernel's channels; the driver owns them while it works.
        keeper: the kernel's process.
        collector: takes the outputs.
        journal: takes every event.
        deadlines: in seconds.
        cancel: wakes the driver.
        listener: hears of cells and streams; must not raise and should be quick.
        interrupt_by_message: the kernel spec's `interrupt_mode` is `message`.
        launched: says how the kernel came into being, for the journal.
        explain_death: says in words how the kernel died.
        held: joins the pieces of streams, where a run has secrets.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        client: KernelClient | PipeClient,
        keeper: Keeper,
        collector: Collector,
        journal: Journal,
        deadlines: Deadlines,
        cancel: CancelToken,
        listener: Listener,
        interrupt_by_message: bool,
        launched: Callable[[], Launch],
        explain_death: Callable[[], str],
        held: HeldStreams | None = None,
    ) -> None:
        self._plan = plan
        self._client = client
        self._keeper = keeper
        self._collector = collector
        self._journal = journal
        self._deadlines = deadlines
        self._cancel = cancel
        self._listener = listener
        self._interrupt_by_message = interrupt_by_message
        self._launched = launched
        self._explain_death = explain_death
        self._held = held
        self._ending: Ending | None = None
        self._run_until: float | None = None
        self._position = -1
        self._cell: int | None = None
        self._done = 0
        self._noted = 0.0  # when a cut was last written down
        self._request = ""
        self._requests: dict[str, tuple[int, int | None]] = {}
        self._watched = {keeper.fileno(): "keeper", cancel.fileno(): "cancel"}

    def drive(self, prepare: Callable[[KernelClient | PipeClient], None] | None) -> Driven:
        """Execute the plan.

        Args:
            prepare: has something run in the kernel before the first cell, without a trace; None for nothing.
        """
        outcomes: list[CellOutcome] = []
        stop: Stop | None = None
        language_info: dict[str, Any] | None = None
        for descriptor, name in self._watched.items():
            self._client.watch(descriptor, name)
        try:
            language_info = self._wait_ready()
            if prepare is not None:
                prepare(self._client)
            if self._deadlines.run is not None:
                self._run_until = time.monotonic() + self._deadlines.run
            for cell in self._plan.cells:
                if cell.skip:
                    outcomes.append(CellOutcome(cell=cell.cell, status=CellStatus.SKIPPED))
                    continue
                outcome, stop = self._run_cell(cell)
                outcomes.append(outcome)
                if stop is not None:
                    break
        except Stopped as stopped:
            stop = stopped.stop
        finally:
            for descriptor in self._watched:
                self._client.unwatch(descriptor)
        left = self._plan.cells[len(outcomes) :]
        outcomes += [CellOutcome(cell=cell.cell, status=CellStatus.NOT_RUN) for cell in left]
        return Driven(cells=tuple(outcomes), stop=stop, language_info=language_info)

    def see_out(self, grace: float) -> None:
        """Ask the kernel to shut down, and take what is still put out until it is gone or `grace` seconds are over.

        Threads, exit handlers and children may have something to say after the last cell.
        """
        deadline = time.monotonic() + grace
        self._client.watch(self._keeper.fileno(), "keeper")
        self._client.send("control", "shutdown_request", {"restart": False})
        while self._keeper.alive and (left := deadline - time.monotonic()) > 0:
            ready = self._client.wait(left)
            if "keeper" in ready:
                self._keeper.pump()
            if "iopub" in ready:
                self._take_iopub("", Reply(), None)
            while self._client.receive("control") is not None:
                pass  # the reply says nothing; unread, it would keep us from waiting
        self._take_last_words("", Reply())
        for seen in () if self._held is None else self._held.flush():
            self._take_output(seen)
        self._client.unwatch(self._keeper.fileno())

    # --- start ----------------------------------------------------------------------------------

    def _wait_ready(self) -> dict[str, Any]:
        """Wait until the kernel answers on both shell and iopub; return its language_info."""
        begun = time.monotonic()
        deadline = begun + self._deadlines.start
        asked: float = 0.0
        requests: set[str] = set()
        info: dict[str, Any] | None = None
        heard = False
        while info is None or not heard:
            now = time.monotonic()
            if now > deadline:
                self._must_be_launched("the fork server did not answer")
                self._keeper.end(0.0)
                reason = f"the kernel did not answer within {self._deadlines.start:g} s of its start"
                raise Stopped(Stop(Status.TIMED_OUT, reason))
            # Asked again after each silence: what a kernel says on iopub before we are subscribed is lost.
            silence = 0.05 if info is not None else 10.0
            if now - asked > silence and not self._client.greets:
                requests.add(self._client.send("shell", "kernel_info_request", {}))
                asked = now
            ready = self._client.wait(min(silence, deadline - now))
            self._heed(ready)
            if self._ending is not None:
                self._keeper.end(0.0)
                raise Stopped(self._ending.stop)
            while (message := self._client.receive("shell")) is not None:
                if message.parent in requests:
                    info = message.content
                elif message.kind == "ready":
                    info, heard = {"language_info": message.content}, True
            while (message := self._client.receive("iopub")) is not None:
                heard = heard or message.parent in requests or message.kind == "iopub_welcome"
        language_info = dict(info.get("language_info") or {})
        launch = self._launched().to_json()
        self._journal.event("kernel_ready", datetime.now(UTC), language_info=language_info, launch=launch)
        self._listener(KernelReady(seconds=time.monotonic() - begun, total=self._plan.total))
        return language_info

    def _must_be_launched(self, otherwise: str, *, refused: bool = False) -> None:
        if self._client.greets and self._keeper.pid is None:
            raise NeverLaunched(otherwise, refused=refused)

    # --- one cell -------------------------------------------------------------------------------

    def _run_cell(self, cell: PlannedCell) -> tuple[CellOutcome, Stop | None]:
        self._position, self._cell = cell.position, cell.cell
        at = datetime.now(UTC)
        begun = time.monotonic()
        self._journal.event("cell_started", at, p=cell.position, cell=cell.cell)
        self._listener(CellStarted(cell=cell.cell, label=cell.label, done=self._done, total=self._plan.total))
        reply = Reply()
        stop: Stop | None = None
        try:
            self._execute(cell, reply, begun)
        except Stopped as stopped:
            stop = stopped.stop
            self._take_last_words(self._request, reply)
        dead = stop is not None and stop.status is Status.KERNEL_DIED
        for seen in () if self._held is None else self._held.flush() if dead else self._held.settle():
            self._take_output(seen)
        for kind, content in self._collector.cut_marker(cell.position):
            self._put(kind, content, cell.position)
            self._listener(StreamText(cell=cell.cell, name=content["name"], text=content["text"]))
        seconds = time.monotonic() - begun
        status, stop = judge(cell, reply, stop, None if self._ending is None else self._ending.stop)
        if reply.asked_exit and status is CellStatus.OK and self._done + 1 == self._plan.total:
            stop = None  # an `exit()` that nothing follows leaves nothing undone
        outcome = CellOutcome(
            cell=cell.cell,
            status=status,
            execution_count=reply.count,
            started=at,
            seconds=seconds,
            output_bytes=self._collector.size(cell.position),
            truncated=self._collector.truncated(cell.position),
            error=reply.error,
        )
        self._done += 1
        self._journal.event("cell_finished", datetime.now(UTC), p=cell.position, outcome=outcome.to_json())
        self._listener(CellFinished(outcome=outcome, done=self._done, total=self._plan.total))
        return outcome, stop

    def _execute(self, cell: PlannedCell, reply: Reply, begun: float) -> None:
        """Have the cell executed; return when it is over, raise Stopped when that will never be.

        Args:
            cell: which.
            reply: takes what the kernel says of it.
            begun: when, by the monotonic clock.
        """
        self._sent(self._client.execute(cell.source))
        self._await_cell(self._request, reply, begun)

    def _sent(self, request: str) -> None:
        """Remember which request the cell under way is."""
        self._request = request
        self._requests[request] = (self._position, self._cell)

    def _await_cell(self, request: str, reply: Reply, begun: float) -> None:
        """Return when the request has its reply and its `idle`; raise Stopped when that will never be."""
        cell_until = None if self._deadlines.cell is None else begun + self._deadlines.cell
        silent_since = begun
        probe: str | None = None
        while reply.message is None or not reply.idle:
            now = time.monotonic()
            self._check_deadlines(now, cell_until)
            if (reply.idle or reply.message is not None) and now - silent_since > _LOST and probe is None:
                probe = self._client.send("shell", "kernel_info_request", {})
            ready = self._client.wait(self._patience(now, cell_until))
            self._heed(ready)
            if "iopub" in ready:
                silent_since = now
                self._take_iopub(request, reply, probe)
            if "shell" in ready:
                silent_since = now
                while (message := self._client.receive("shell")) is not None:
                    if message.parent == request:
                        reply.take(message)
                    elif message.parent == probe and reply.message is None:
                        reply.give_up(message)  # replies come in order: ours will never come
            if not self._keeper.alive:
                raise Stopped(self._death())
            self._keep_up()

    def _keep_up(self) -> None:
        """Bring the journal to disk, and into it how much was cut so far: about once a second."""
        now = time.monotonic()
        drops = self._collector.drops(self._position) if now - self._noted >= _TICK else None
        if drops is not None:
            self._noted = now
            self._journal.event("dropped", datetime.now(UTC), p=self._position, drops=drops)
        self._journal.sync()

    def _patience(self, now: float, cell_until: float | None) -> float:
        moments = [cell_until, self._run_until] if self._ending is None else [self._ending.kill_at]
        return max(0.0, min([_TICK, *(moment - now for moment in moments if moment is not None)]))

    def _take_iopub(self, request: str, reply: Reply, probe: str | None) -> None:
        while (message := self._client.receive("iopub")) is not None:
            if message.kind == "status":
                if message.content.get("execution_state") != "idle":
                    continue
                if message.parent == request:
                    reply.idle = True
                    return
                if probe is not None and message.parent == probe:
                    # The probe was sent after the reply came, so our `idle` can only have been lost before it.
                    self._journal.event("note", datetime.now(UTC), text="the kernel's idle message was lost")
                    reply.idle = True
                    return
            else:
                self._take_said(message, request, reply)

    def _take_said(self, message: Message, request: str, reply: Reply) -> None:
        """Take what was put out, and what number the cell has."""
        if message.kind == "execute_input":
            if message.parent == request:
                reply.count = message.content.get("execution_count", reply.count)
        elif message.kind in OUTPUT_KINDS:
            for seen in [message] if self._held is None else self._held.feed(message):
                self._take_output(seen)

    def _take_output(self, message: Message) -> None:
        """Collect and journal an output under the cell that it comes from (a thread's may come late)."""
        position, cell = self._requests.get(message.parent, (self._position, self._cell))
        if position < 0:
            return
        if message.kind == "stream":
            name, text = str(message.content.get("name", "stdout")), str(message.content.get("text", ""))
            self._listener(StreamText(cell=cell, name=name, text=text))
        kept = self._collector.admit(position, message.kind, message.content, len(message.raw))
        if kept is message.content:
            self._journal.message(position, datetime.now(UTC), message.kind, message.raw)
            self._collector.add(position, message.kind, message.content)
        elif kept is not None:
            self._put(message.kind, kept, position)

    def _put(self, kind: str, content: Mapping[str, Any], position: int) -> None:
        """Collect and journal an output that is not as it came."""
        self._journal.event("message", datetime.now(UTC), p=position, kind=kind, content=content)
        self._collector.add(position, kind, content)

    # --- what may come in between ----------------------------------------------------------------

    def _heed(self, ready: set[str]) -> None:
        """Take the keeper's news, cancel requests and questions on stdin."""
        if "keeper" in ready:
            try:
                self._keeper.pump()
            except KernelUnavailable as error:
                self._must_be_launched(error.found or str(error), refused=True)
                raise Stopped(Stop(Status.KERNEL_DIED, str(error))) from error
            if not self._keeper.alive and self._position < 0:
                self._must_be_launched("the fork server ended")
                raise Stopped(self._death())
        if "cancel" in ready:
            self._cancel.drain()
            self._begin_ending(Stop(Status.CANCELLED, self._cancel.reason))
        if "stdin" in ready:
            while self._client.receive("stdin") is not None:
                self._client.send("stdin", "input_reply", {"value": ""})

    def _check_deadlines(self, now: float, cell_until: float | None) -> None:
        if self._ending is not None:
            if now >= self._ending.kill_at:
                self._keeper.end(0.0)
                stop = self._ending.stop
                how = "was killed at once" if self._cancel.requests > 1 else "ignored the interrupt and was killed"
                reason = f"{stop.reason}; the kernel {how}"
                raise Stopped(Stop(stop.status, reason))
            return
        where = name_of(self._cell)
        if cell_until is not None and now >= cell_until:
            reason = f"{where} took longer than {self._deadlines.cell:g} s"
            self._begin_ending(Stop(Status.TIMED_OUT, reason))
        elif self._run_until is not None and now >= self._run_until:
            reason = f"the run took longer than {self._deadlines.run:g} s ({where} was running)"
            self._begin_ending(Stop(Status.TIMED_OUT, reason))

    def _begin_ending(self, stop: Stop) -> None:
        """Interrupt the kernel and set the moment of the kill; asked again, kill at once."""
        now = time.monotonic()
        if self._ending is not None:
            if self._cancel.requests > 1:
                self._ending.kill_at = now
            return
        self._ending = Ending(stop, now if self._cancel.requests > 1 else now + self._deadlines.grace)
        if self._interrupt_by_message:
            self._client.send("control", "interrupt_request", {})
        else:
            self._keeper.signal(signal.SIGINT)

    def _take_last_words(self, request: str, reply: Reply) -> None:
        """Read what the dead kernel's sockets still hold."""
        patience = 0.0 if not request else _LAST_WORDS
        while "iopub" in self._client.wait(patience):
            self._take_iopub(request, reply, None)

    def _death(self) -> Stop:
        if self._ending is not None:
            return Stop(self._ending.stop.status, f"{self._ending.stop.reason}; the kernel ended on the interrupt")
        return Stop(Status.KERNEL_DIED, self._explain_death())
