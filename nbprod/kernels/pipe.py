"""The channel of a forked kernel: frames over a pair of sockets (see `_in_pipe.py`)."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from nbprod.errors import KernelUnavailable
from nbprod.kernels.bootstrap import Observed, preparation
from nbprod.kernels.wire import Message, read_content

__all__ = ["PipeClient"]

_LENGTHS = struct.Struct("!II")
_READ = 1 << 20


class PipeClient:
    """Talks to one forked kernel, as `KernelClient` does to others. Not thread-safe: one driver owns it.

    Args:
        channel: our end of the stream socket.
        side: our end of the packet socket that processes forked by the notebook write to.
        mask: applied to each content's JSON before anybody sees it (law 7).
    """

    greets = True
    """Whether the kernel says by itself that it is ready."""

    def __init__(
        self, channel: socket.socket, side: socket.socket, mask: Callable[[bytes, Any], bytes] | None = None
    ) -> None:
        self._channel = channel
        self._side = side
        self._mask = mask
        self._poller = select.poll()
        self._names: dict[int, str] = {}
        self._buffer = bytearray()
        self._unsent = bytearray()
        self._queues: dict[str, deque[Message]] = {"shell": deque(), "iopub": deque()}
        self._count = 0
        for sock in (channel, side):
            self._poller.register(sock, select.POLLIN)

    def watch(self, descriptor: int, name: str) -> None:
        """Have `wait` report a file descriptor under a name as well."""
        self._poller.register(descriptor, select.POLLIN)
        self._names[descriptor] = name

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor."""
        if self._names.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    def wait(self, timeout: float) -> set[str]:
        """Wait at most `timeout` seconds; return the names of channels and descriptors with something to read."""
        waiting = {name for name, queue in self._queues.items() if queue}
        ready = self._poller.poll(0 if waiting else max(0, round(timeout * 1000)))
        for descriptor, what in ready:
            if descriptor == self._channel.fileno():
                if what & select.POLLOUT:
                    self._write()
                if what & ~select.POLLOUT:
                    self._read()
            elif descriptor == self._side.fileno():
                self._read_side()
            else:
                waiting.add(self._names[descriptor])
        return waiting | {name for name, queue in self._queues.items() if queue}

    def receive(self, channel: str) -> Message | None:
        """Return the next message of a channel, None when there is none now."""
        queue = self._queues.get(channel)
        return queue.popleft() if queue else None

    def send(self, channel: str, kind: str, content: dict[str, Any]) -> str:  # noqa: ARG002 - there is one for all
        """Send a request; return its id. A kernel that is gone is no error here: its keeper tells of that."""
        self._count += 1
        message_id = f"{self._count}"
        head = orjson.dumps([kind, message_id])
        body = json.dumps(content).encode("ascii")  # ASCII, so that lone surrogates in a cell's source survive
        self._unsent += _LENGTHS.pack(len(head), len(body)) + head + body
        self._write()
        return message_id

    def execute(self, code: str) -> str:
        """Ask for code to be executed; return the request's id."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self.send("shell", "execute_request", content)

    def prepare(self, observed: Observed | None) -> None:
        """Have our own code run before the first cell (see `nbprod.kernels.bootstrap`)."""
        self.send("shell", "prepare", preparation(observed))

    def close(self) -> None:
        """Close the sockets."""
        self._channel.close()
        self._side.close()

    def _write(self) -> None:
        """Send what can be sent now; `wait` goes on. Whoever waited here would read nothing meanwhile, and no clock."""
        try:
            while self._unsent:
                del self._unsent[: self._channel.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            self._poller.modify(self._channel, select.POLLIN | select.POLLOUT)
            return
        except OSError:
            self._unsent.clear()  # it is gone
        with contextlib.suppress(OSError):
            self._poller.modify(self._channel, select.POLLIN)

    def _read(self) -> None:
        try:
            data = self._channel.recv(_READ)
        except ConnectionError:
            data = b""
        if not data:
            self._poller.unregister(self._channel)
            return
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= _LENGTHS.size:
            head, body = _LENGTHS.unpack_from(buffer, start)
            begin = start + _LENGTHS.size
            if end - begin < head + body:
                break
            start = begin + head + body
            self._take(bytes(buffer[begin : begin + head]), bytes(buffer[begin + head : start]))
        del buffer[:start]

    def _read_side(self) -> None:
        try:
            packet = self._side.recv(_READ)
        except ConnectionError:
            packet = b""
        if not packet:
            self._poller.unregister(self._side)
            return
        head, body = _LENGTHS.unpack_from(packet)
        begin = _LENGTHS.size
        self._take(packet[begin : begin + head], packet[begin + head : begin + head + body])

    def _take(self, head: bytes, body: bytes) -> None:
        try:
            channel, kind, parent, date = orjson.loads(head)
            content, raw = read_content(body, self._mask)
            self._queues[channel].append(Message(kind, parent, date, content, raw))
        except (ValueError, KeyError) as error:
            raise KernelUnavailable("the kernel sent something that is no message", found=str(error)) from error
