"""A kernel that is a thread, and its keeper: they do what each cell's source says, for tests of the driver alone."""

from __future__ import annotations

import json
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbprod.execution.cancel import CancelToken
from nbprod.execution.driven import Deadlines, Driven
from nbprod.execution.driver import Driver
from nbprod.execution.events import Event
from nbprod.execution.journal import Journal, read_journal
from nbprod.execution.outputs import Collector, OutputLimits
from nbprod.execution.plan import Plan
from nbprod.execution.supervisor import Exit
from nbprod.kernels.pipe import PipeClient
from nbprod.record.launch import Launch

LENGTHS = struct.Struct("!II")


class FakeKeeper:
    """A keeper without a process: tells of an end when the kernel says so, and passes signals on."""

    def __init__(self) -> None:
        self.news, self.teller = socket.socketpair()
        self.pid: int | None = 1
        self.exit: Exit | None = None
        self.signals: list[int] = []
        self.on_signal: Callable[[int], None] = lambda number: None
        self.killed = False

    def fileno(self) -> int:
        return self.news.fileno()

    def pump(self, timeout: float = 0.0) -> bool:
        code = self.news.recv(1)
        self.exit = Exit(code=code[0], signal=None)
        return True

    @property
    def alive(self) -> bool:
        return self.exit is None

    def signal(self, number: int) -> None:
        self.signals.append(number)
        self.on_signal(number)

    def end(self, grace: float) -> None:
        self.killed = True


class FakeKernel:
    """Answers over the frames of a forked kernel.

    A cell's source is a list of words: `say TEXT`, `error NAME`, `die`, `hang` (until it is interrupted), `deaf` (even
    then), `silent` (no reply), `busy` (no idle), `exit` (asks to). What is left out went well.
    """

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.side, self.its_side = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keeper = FakeKeeper()
        self.keeper.on_signal = lambda number: self.interrupted.set() if number == signal.SIGINT else None
        self.interrupted = threading.Event()
        self.executed: list[str] = []
        self.count = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def tell(self, channel: str, kind: str, parent: str, **content: Any) -> None:
        head, body = json.dumps([channel, kind, parent, "2026-01-01T00:00:00Z"]).encode(), json.dumps(content).encode()
        self.theirs.sendall(LENGTHS.pack(len(head), len(body)) + head + body)

    def requests(self) -> Any:
        stream = self.theirs.makefile("rb")
        while lengths := stream.read(LENGTHS.size):
            head, body = LENGTHS.unpack(lengths)
            yield json.loads(stream.read(head)), json.loads(stream.read(body))

    def serve(self) -> None:
        self.tell("shell", "ready", "", name="fake")
        for (kind, parent), content in self.requests():
            if kind == "execute_request":
                self.execute(parent, content["code"])
            elif kind == "kernel_info_request":
                self.tell("shell", "kernel_info_reply", parent, status="ok")
                self.tell("iopub", "status", parent, execution_state="idle")

    def execute(self, parent: str, source: str) -> None:
        self.count += 1
        self.executed.append(source)
        word, _, rest = source.partition(" ")
        self.tell("iopub", "execute_input", parent, execution_count=self.count)
        reply: dict[str, Any] = {"status": "ok", "execution_count": self.count, "payload": []}
        if word == "say":
            self.tell("iopub", "stream", parent, name="stdout", text=rest)
        elif word == "die":
            self.keeper.teller.send(b"\x03")
            return
        elif word in ("hang", "deaf"):
            self.interrupted.wait(30.0)
            if word == "deaf":
                return
            rest = "KeyboardInterrupt"
        elif word == "exit":
            reply["payload"] = [{"source": "ask_exit"}]
        if word in ("error", "hang"):
            self.tell("iopub", "error", parent, ename=rest, evalue="", traceback=[])
            reply = {"status": "error", "ename": rest, "evalue": "", "execution_count": self.count}
        if word != "silent":
            self.tell("shell", "execute_reply", parent, **reply)
        if word != "busy":
            self.tell("iopub", "status", parent, execution_state="idle")


class Drive:
    """One plan driven through a fake kernel, with all that came of it."""

    def __init__(self, folder: Path, *sources: str, tags: dict[int, list[str]] | None = None, **deadlines: Any) -> None:
        cells = [
            {
                "cell_type": "code",
                "source": source,
                "metadata": {"tags": (tags or {}).get(number, [])},
                "id": str(number),
            }
            for number, source in enumerate(sources)
        ]
        for number, cell in enumerate(cells):
            cell["metadata"]["nbprod"] = {"cell": number}  # type: ignore[index]
        self.plan = Plan.of({"cells": cells}, {})
        self.kernel = FakeKernel()
        self.collector = Collector(OutputLimits())
        self.cancel = CancelToken()
        self.events: list[Event] = []
        self.path = folder / "journal.jsonl"
        self.deadlines = Deadlines(**deadlines)

    def run(self, listener: Callable[[Event], None] | None = None) -> Driven:
        def hear(event: Event) -> None:
            self.events.append(event)
            if listener is not None:
                listener(event)

        with Journal(self.path) as journal:
            driver = Driver(
                plan=self.plan,
                client=PipeClient(self.kernel.ours, self.kernel.side),
                keeper=self.kernel.keeper,  # type: ignore[arg-type]
                collector=self.collector,
                journal=journal,
                deadlines=self.deadlines,
                cancel=self.cancel,
                listener=hear,
                interrupt_by_message=False,
                launched=Launch,
                explain_death=lambda: "the kernel's process exited with status 3",
            )
            return driver.drive(None)

    def journal(self) -> list[str]:
        return [event["e"] for event in read_journal(self.path)]

    def said(self, position: int) -> str:
        return "".join(output.get("text", "") for output in self.collector.outputs(position))
