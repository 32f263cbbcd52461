"""What a forked kernel speaks through: frames over a pair of sockets instead of ZeroMQ's messages.

nbprod never imports this file: the fork server loads it by its path. Written against ipykernel 7; standard library and
ipykernel only.

The channel is a stream socket. Both ways go frames: a head and a body, each preceded by its length (two big-endian
32-bit numbers). The head is a JSON list, the body the content's JSON.

    kernel → driver   [channel, message type, parent's message id, date (ISO 8601)]   content
    driver → kernel   [message type, message id]                                      content

Processes that the notebook forks must not write into the middle of a frame of their parent's. They have a socket of
their own, which keeps the borders of packets: a packet is a frame.
"""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import struct
import sys
import threading
import time
import traceback
from typing import Any

from ipykernel.iostream import IOPubThread, OutStream
from jupyter_client.session import Session
from traitlets import Any as AnyTrait

LENGTHS = struct.Struct("!II")
PACKET = 150_000
"""Bytes of a frame that a forked process may send at once."""
LARGEST = 64 << 20
"""Bytes of a frame that is sent whole even if a signal's handler raises meanwhile, at most."""


class Wire:
    """Sends frames, from any thread and any forked process, once it is told where to.

    `channel` is the stream socket, `side` the packet socket for forked processes.
    """

    channel: socket.socket
    side: socket.socket

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.writer: io.BufferedWriter | None = None
        self.parents: io.BufferedWriter | None = None  # kept: who lets go of it sends what is in it
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Another thread may have held the lock while we were forked, and our parent sends what was left."""
        self.lock = threading.RLock()
        self.parents, self.writer = self.writer, None

    def put(self, frame: bytes) -> None:
        """Send a frame whole, whatever a signal's handler raises meanwhile.

        A call into C takes the frame whole or not at all; what an exception keeps it from sending goes the next time.
        """
        if self.writer is None:
            raw = io.FileIO(self.channel.fileno(), "wb", closefd=False)
            self.writer = io.BufferedWriter(raw, LARGEST)  # memory that is not touched costs nothing
        if len(frame) >= LARGEST:
            self.writer.flush()
            self.channel.sendall(frame)
            return
        self.writer.write(frame)
        try:
            self.writer.flush()
        except OSError:
            raise
        except BaseException:
            self.writer.flush()
            raise

    def send(self, head: list[str], body: bytes) -> None:
        encoded = json.dumps(head).encode()
        frame = b"".join((LENGTHS.pack(len(encoded), len(body)), encoded, body))
        try:
            if os.getpid() == self.pid:
                with self.lock:
                    self.put(frame)
            elif len(frame) <= PACKET:
                self.side.send(frame)
            else:
                os.write(2, b"an output of a forked process was too large to be sent, and was left out\n")
        except OSError:
            pass  # nobody listens any more: the keeper is about to end us


class PipeSession(Session):
    """Sends what the kernel says through the wire."""

    wire = AnyTrait()

    def send(
        self,
        stream: Any,
        msg_or_type: Any,
        content: Any = None,
        parent: Any = None,
        ident: Any = None,
        buffers: Any = None,
        track: bool = False,
        header: Any = None,
        metadata: Any = None,
    ) -> Any:
        if isinstance(msg_or_type, dict):
            message = msg_or_type
        else:
            message = self.msg(msg_or_type, content=content, parent=parent, header=header, metadata=metadata)
        if self.check_pid and os.getpid() != self.pid:
            logging.getLogger("traitlets").warning("WARNING: attempted to send message from fork\n%s", message)
            return None
        head = message["header"]
        date = head["date"]
        date = date if isinstance(date, str) else date.isoformat()
        channel = "shell" if stream == "shell" else "iopub"
        asked = message["parent_header"].get("msg_id", "")
        body = message["content"]
        if head["msg_type"] == "stream" and os.getpid() != self.wire.pid:
            text = body["text"]
            for start in range(0, len(text), PACKET // 8):
                piece = self.pack({"name": body["name"], "text": text[start : start + PACKET // 8]})
                self.wire.send([channel, "stream", asked, date], piece)
        else:
            self.wire.send([channel, head["msg_type"], asked, date], self.pack(body))
        return message


class Flusher:
    """Calls what is to be called later: streams that want to be flushed. Stands in for an event loop in a thread."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.calls: list[tuple[float, Any]] = []
        self.thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.condition, self.thread, self.calls = threading.Condition(), None, []

    def call_later(self, seconds: float, function: Any) -> None:
        with self.condition:
            if self.thread is None:
                self.thread = threading.Thread(target=self.serve, name="IOPub", daemon=True)
                self.thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
                self.thread.start()
            self.calls.append((time.monotonic() + seconds, function))
            self.condition.notify()

    def add_callback(self, function: Any, *args: Any) -> None:
        function(*args)

    def serve(self) -> None:
        while True:
            with self.condition:
                if not self.calls:
                    self.condition.wait()
                    continue
                left = self.calls[0][0] - time.monotonic()
                if left > 0:
                    self.condition.wait(left)
                    continue
                function = self.calls.pop(0)[1]
            try:
                function()
            except Exception:  # noqa: BLE001, S110 - a stream that is closed by now
                pass


class NoThread:
    """What ipykernel sees in the place of the thread that publishes: everybody publishes by themselves."""

    name = "IOPub"
    ident = None

    def is_alive(self) -> bool:
        return False


class Publisher(IOPubThread):
    """Stands in for the thread that publishes."""

    def __init__(self, session: Any) -> None:  # the parent's would make sockets
        self.socket = self
        self.session = session
        self.thread: Any = NoThread()
        self.io_loop: Any = Flusher()
        self.background_socket = "iopub"  # type: ignore[assignment]
        self._master_pid = os.getpid()

    def schedule(self, f: Any) -> None:
        f()

    def send_multipart(self, *args: Any, **kwargs: Any) -> None:
        raise OSError("there is no ZeroMQ socket here")

    def stop(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is open."""


class PipeStream(OutStream):
    """ipykernel's stream; each text is sent by who flushes, one at a time."""

    nbprod = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._order = threading.RLock()
        os.register_at_fork(after_in_child=self._renew)
        super().__init__(*args, **kwargs)

    def _renew(self) -> None:
        self._order = threading.RLock()
        self._buffer_lock = threading.RLock()

    def _flush(self) -> None:
        with self._order:
            try:
                super()._flush()
            except (UnicodeError, ValueError, TypeError):  # what no message can hold is lost, and the cell goes on
                traceback.print_exc(file=sys.__stderr__)
